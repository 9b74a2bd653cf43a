//! Rows that are known to fail; one that no longer does makes the test fail, until it is taken out.

use super::case::*;

/// A row, by its command line.
pub(super) struct Pending {
    pub(super) script: &'static str,
    pub(super) compilers: &'static [&'static str],
    pub(super) reason: &'static str,
}

const fn pending(
    compilers: &'static [&'static str],
    script: &'static str,
    reason: &'static str,
) -> Pending {
    Pending { script, compilers, reason }
}

pub(super) const PENDING: &[Pending] = &[];
