//! The original's exit codes (distcc 3.4, `exitcode.h`); scripts depend on the numbers.

/// General failure of ours.
pub(crate) const GENERAL: u8 = 100;
/// A command line or configuration that cannot be used.
pub(crate) const BAD_ARGUMENTS: u8 = 101;
/// The listening socket could not be bound.
pub(crate) const BIND_FAILED: u8 = 102;
/// A compiler could not be started.
pub(crate) const COMPILER_MISSING: u8 = 110;
/// distcc invoked itself.
pub(crate) const RECURSION: u8 = 111;
/// Root privileges could not be given up.
pub(crate) const SETUID_FAILED: u8 = 112;
/// No host could take the job and falling back was forbidden.
pub(crate) const NO_HOSTS: u8 = 116;
