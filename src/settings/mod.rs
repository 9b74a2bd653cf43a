//! Configuration: what the user typed or wrote, checked. `hosts` is the host-list grammar, `env`
//! the environment variables, `daemon` distccd's flags.

pub(crate) mod hosts;
