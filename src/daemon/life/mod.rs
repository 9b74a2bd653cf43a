//! A daemon from its command line to its end; `--check` and `--inetd` are the short ones.

pub(crate) mod background;
pub(crate) mod check;
pub(crate) mod endings;
pub(crate) mod failure;
pub(crate) mod inetd;
pub(crate) mod launch;
pub(crate) mod pid_file;
pub(crate) mod start;
pub(crate) mod state;
