//! Plain values that every layer may name: no I/O, no clock, no logging.

pub(crate) mod escape;
pub(crate) mod exit;
pub(crate) mod node;
pub(crate) mod stand_in;
#[cfg(test)]
pub(crate) mod testing;
