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
    pending(&["clang++"], "$CC -c p.i", "clang++ warns of a .i file only here"),
    pending(&["clang++"], "$RAW -E math.c -o pre.i; $CC -O2 -c pre.i", "clang++ warns of a .i file only here"),
    pending(&["clang++"], "$CC -flto -frandom-seed=1 -c p.i", "clang++ warns of a .i file only here"),
    pending(&["clang++"], "$CC -c a.c p.i", "clang++ warns of a .i file only here"),
    pending(&["clang++"], "$CC -c bad.c c.c", "clang++ warns of all .c files before it compiles the first"),
    pending(&["clang++"], "$CC -c c.c bad.c a.c", "clang++ warns of all .c files before it compiles the first"),
    pending(&["clang++"], "$CC -c bad.c syntax.c", "clang++ warns of all .c files before it compiles the first"),
    pending(&["clang++"], "$CC -c missing.c c.c", "clang++ warns of all .c files before it compiles the first"),
    pending(&["clang++"], "$CC -Wall -Wextra -c warn.c fall.c", "clang++ warns of all .c files before it compiles the first"),
    pending(ALL, "$CC -Wp,-MMD,deps,-MT,x -c a.c", "stays here"),
    pending(ALL, "$CC -Wp,-MMD,deps,-MQ,'a b',-MP -c a.c", "stays here"),
];
