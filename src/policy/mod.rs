//! Decisions about hosts: which may be used and why not, who may connect. Pure but for reading
//! the policy file.
//!
//! `file` and `read` make a policy of `policy.toml`, `rule` holds its rules, `compat` compares
//! toolchains with the help of `version` and `target` and says in `difference` what tells them
//! apart, `verdict` judges a host by all of it. `placement` chooses among the hosts that may be
//! used, and `access` is the server's side: who may connect.

pub(crate) mod access;
pub(crate) mod compat;
pub(crate) mod difference;
pub(crate) mod file;
pub(crate) mod networks;
pub(crate) mod placement;
mod read;
pub(crate) mod rule;
pub(crate) mod target;
pub(crate) mod verdict;
pub(crate) mod version;
