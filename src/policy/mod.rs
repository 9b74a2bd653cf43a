//! Decisions about hosts: which may be used and why not, who may connect. Pure but for reading
//! the policy file.
