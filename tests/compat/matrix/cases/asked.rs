//! What is not a compile of one source: all of it is done here.

use crate::matrix::case::*;

pub(super) const CASES: &[Case] = &[
    local("$CC --version"),
    local("$CC -dumpversion"),
    local("$CC -dumpmachine"),
    local("$CC -print-file-name=libc.a"),
    local("$CC -print-search-dirs"),
    local("$CC -v"),
    local("$CC"),
    local("$CC -E a.c"),
    local("$CC -E a.c -o a.i"),
    local("$CC -E -dM a.c"),
    local("$CC -E -P -C a.c"),
    local("$CC -M a.c"),
    local("$CC -MM a.c"),
    local("$CC -fsyntax-only -Wall warn.c"),
    local("$CC -c -fsyntax-only a.c"),
    local("echo 'int main(void) { return 0; }' > main.c; $CC main.c -o main && ./main && rm main"),
    local("$RAW -c a.c && $CC -shared a.o -o a.so; rm -f a.so"),
    local("$CC -c a.c -### 2> /dev/null"),
    local("$CC -c no-such-file.c"),
    local("$CC -c"),
    local("$CC -c own.h -fsyntax-only"),
    local("$CC -c sub"),
];
