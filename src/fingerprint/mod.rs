//! What a compiler is: [`Toolchain`] and how to learn it, from the compiler itself or from a stock
//! peer. Knows nothing of hosts or policy.
//!
//! `toolchain` is the value, `ident` the mark that a compiler leaves in its objects and `machine` for
//! which machine they are; the client needs no more. `verbose`, `words` and `stock` are pure: they read what a compiler says of itself,
//! here or through a peer that does not speak our hello. `probe` asks a compiler of this machine,
//! `cache` remembers the answers on disk, `inventory` finds all that this machine can offer.

pub(crate) mod ident;
pub(crate) mod machine;

#[cfg(feature = "daemon")]
pub(crate) mod cache;
#[cfg(feature = "daemon")]
pub(crate) mod files;
#[cfg(feature = "daemon")]
pub(crate) mod inventory;
#[cfg(feature = "daemon")]
pub(crate) mod names;
#[cfg(feature = "daemon")]
pub(crate) mod probe;
#[cfg(feature = "daemon")]
mod run;
#[cfg(feature = "daemon")]
pub(crate) mod stock;
#[cfg(test)]
#[cfg(feature = "daemon")]
mod testing;
#[cfg(feature = "daemon")]
pub(crate) mod toolchain;
#[cfg(feature = "daemon")]
pub(crate) mod verbose;
#[cfg(feature = "daemon")]
pub(crate) mod words;

#[cfg(feature = "daemon")]
pub(crate) use crate::command::Driver;
#[cfg(feature = "daemon")]
pub(crate) use toolchain::{Family, Offered, Toolchain};
