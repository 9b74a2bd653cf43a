//! `@file`.

use crate::matrix::case::*;

pub(super) const CASES: &[Case] = &[
    remote("echo '-c a.c' > args; $CC @args"),
    remote("echo '-O2 -Wall' > args; $CC @args -c a.c"),
    remote("echo '-c -o sub/out.o' > args; $CC a.c @args"),
    remote("printf -- '-O2\\n-c\\na.c\\n' > args; $CC @args -o x.o"),
    anywhere("echo '-DWORDS=\"two\\ words\" -c a.c' > args; $CC @args"),
    remote("echo \"-c 'name with blank.c'\" > args; $CC @args -o x.o"),
    remote("echo '-c name\\ with\\ blank.c' > args; $CC @args -o x.o"),
    remote("echo '-c \"name with blank.c\"' > args; $CC @args -o x.o"),
    remote("echo '-c' > one; echo '@one a.c' > two; $CC @two"),
    remote("echo '-MD -MF deps -c' > args; $CC @args a.c"),
    remote("echo '-MMD -MP' > args; $CC @args -c a.c -o sub/a.o"),
    remote("echo '-g -O1' > args; $CC @args -c a.c"),
    remote("echo '-I inc -include own.h' > args; $CC @args -c find.c"),
    remote("echo '-x c' > args; $CC @args -c noext").here_with(CXX),
    anywhere("echo '-S -o -' > args; $CC @args a.c"),
    remote(": > args; $CC @args -c a.c"),
    remote("echo '-O2' > sub/args; $CC @sub/args -c a.c"),
    remote("echo '-O2' > args; $CC @\"$PWD/args\" -c a.c"),
    remote("echo a.c c.c > list; $CC -c @list").jobs(2).here_with(CLANGXX),
    remote("echo '-DX=1' > args; $CC -DY @args -DZ -c a.c"),
    anywhere("printf -- '-O2 -c\\ta.c \\\\\\n -o x.o' > args; $CC @args"),
    anywhere("$CC @none -c a.c"),
    anywhere("$CC -c @none"),
    anywhere("echo '@args' > args; $CC @args -c a.c"),
    local("echo '-save-temps' > args; $CC @args -c a.c"),
    local("echo '-fstack-usage -c a.c' > args; $CC @args"),
    local("echo '-E' > args; $CC @args -c a.c"),
    local("echo '--version' > args; $CC @args"),
    local(
        "echo '-o main' > args; echo 'int main(void) { return 0; }' > main.c; \
           $CC @args main.c && ./main; rm main",
    ),
    anywhere("echo '-Wall -Wextra' > args; $CC @args -c warn.c"),
    anywhere("echo 'bad.c' > args; $CC -c @args"),
    remote("echo '\"-O2\" '\"'-c'\"' \"a\".c' > args; $CC @args"),
    remote("echo '-O2' > '@args'; echo '-c a.c' > args; $CC @args"),
];
