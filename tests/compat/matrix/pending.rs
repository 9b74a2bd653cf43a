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

#[rustfmt::skip] // A row a line.
pub(super) const PENDING: &[Pending] = &[
    pending(LLVM, "$CC -fmacro-prefix-map=a.c=z.c -c a.c", "clang there has no use for it and says so: done here too"),
    pending(LLVM, "$CC -c \"$PWD/a.c\" -fmacro-prefix-map=\"$PWD\"=/src", "clang there has no use for it and says so: done here too"),
    pending(&["clang"], "$CC -fdiagnostics-parseable-fixits -Wall -c warn.c", "the lines are those of the text that travels"),
    pending(&["clang++"], "$CC -g -c p.i", "clang++ warns of a .i file only here"),
    pending(&["clang++"], "$CC -march=native -O2 -c p.i", "clang++ warns of a .i file only here"),
];
