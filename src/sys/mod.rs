//! The operating system: processes, limits, clocks, locks. The only folder where `unsafe` may
//! stand; raw file descriptors never leave it.

pub(crate) mod beneath;
pub(crate) mod child_end;
#[cfg(feature = "daemon")]
pub(crate) mod children;
#[cfg(feature = "daemon")]
pub(crate) mod clock;
pub(crate) mod cores;
#[cfg(feature = "daemon")]
pub(crate) mod guard;
#[cfg(feature = "daemon")]
pub(crate) mod links;
pub(crate) mod locks;
#[cfg(feature = "daemon")]
pub(crate) mod ports;
#[cfg(feature = "daemon")]
pub(crate) mod privileges;
#[cfg(feature = "daemon")]
pub(crate) mod process;
#[cfg(feature = "daemon")]
pub(crate) mod process_table;
pub(crate) mod process_times;
#[cfg(feature = "daemon")]
pub(crate) mod root_files;
pub(crate) mod signals;
#[cfg(feature = "daemon")]
pub(crate) mod supervisor;
pub(crate) mod tcp;
