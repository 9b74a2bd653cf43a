//! Decisions about hosts: which may be used and why not, who may connect. Pure but for reading
//! the policy file.

pub(crate) mod access;
pub(crate) mod compat;
pub(crate) mod difference;
pub(crate) mod placement;
pub(crate) mod target;
pub(crate) mod version;
