//! What a compiler is: [`Toolchain`] and how to learn it, from the compiler itself or from a stock
//! peer. Knows nothing of hosts or policy.

pub(crate) mod toolchain;

pub(crate) use toolchain::{Driver, Family, Offered, Toolchain};
