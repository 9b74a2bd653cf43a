//! The operating system: processes, limits, clocks, locks. The only folder where `unsafe` may
//! stand; raw file descriptors never leave it.

#[cfg(feature = "daemon")]
pub(crate) mod links;
