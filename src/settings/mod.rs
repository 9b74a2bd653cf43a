//! Configuration: what the user typed or wrote, checked. `hosts` is the host-list grammar,
//! `hosts_file` where a list comes from, `env` the environment variables, `daemon` distccd's
//! flags, file and limits, `ssh` how ssh is called.

pub(crate) mod agent_socket;
#[cfg(feature = "daemon")]
pub(crate) mod daemon;
pub(crate) mod env;
pub(crate) mod hosts;
pub(crate) mod hosts_file;
pub(crate) mod ssh;
