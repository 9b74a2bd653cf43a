//! Configuration: what the user typed or wrote, checked. `hosts` is the host-list grammar, `env`
//! the environment variables, `daemon` distccd's flags.

#[cfg(feature = "daemon")]
pub(crate) mod daemon;
pub(crate) mod hosts;
