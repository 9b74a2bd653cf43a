//! Which compilers this machine has, under which names, and when they are looked for anew.

mod ccache;
mod installers;
mod inventory;
pub(crate) mod rescan;
mod watches;

pub(crate) use inventory::{Inventory, Resolved, Scanner, generation_of};
