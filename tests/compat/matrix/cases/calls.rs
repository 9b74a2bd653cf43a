//! The forms in which the client is called.

use crate::matrix::case::*;

pub(super) const CASES: &[Case] = &[
    remote("$CC -c a.c"),
    remote("$CC -c a.c -o a.o"),
    remote("$CC -oa.o -c a.c"),
    remote("$CC -c -o sub/a.o a.c"),
    remote("$CC -c ./a.c"),
    remote("$CC -c \"$PWD/a.c\" -o \"$PWD/a.o\""),
    remote("cd sub && $CC -c s.c"),
    remote("cd sub && $CC -c ../a.c"),
    remote("cd inc && $CC -I.. -c ../sub/s.c -o ../s.o"),
    remote("$CC -c 'name with blank.c' -o 'an object.o'"),
    remote("$CC -c b.cc").on(CXX),
    remote("$CC -c b.cc").on(C),
    remote("$CC -c a.c -Iinc -DX=1 -UY -include own.h"),
    remote("$CC -D 'WORDS=\"two words\"' -c a.c"),
    remote("$CC -DCALL\\(x\\)=x -c a.c"),
    remote("$CC -I inc -c find.c"),
    remote("$CC -isystem inc -c find.c"),
    remote("$CC -iquote sub -idirafter inc -c find.c"),
    remote("$CC -include own.h -imacros inc/found.h -c c.c"),
    remote("$CC -c a.c").by(Call::Masquerade),
    remote("$CC -O2 -Wall -MD -c a.c -o sub/a.o").by(Call::Masquerade),
    local("cp c.c conftest.c && $CC -c conftest.c").by(Call::Masquerade),
    local("cp c.c conftest.c && $CC -c conftest.c"),
    local(
        "cp c.c conftest.c && echo 'int main(void) { return 0; }' >> conftest.c && \
           $CC -o conftest conftest.c && ./conftest",
    ),
    remote("$CC -c a.c").by(Call::Implicit).on(&["gcc"]),
    remote("$CC -O1 -c a.c -o x.o").by(Call::Implicit).on(&["gcc"]),
    remote("$CC a.c -c").by(Call::Implicit).on(&["gcc"]),
    local("$CC x.s -c").by(Call::Implicit).on(&["gcc"]),
    local("$CC y.S -c").by(Call::Implicit).on(&["gcc"]),
    remote("umask 077; $CC -c a.c"),
    remote("umask 0; $CC -MD -c a.c"),
    remote("umask 027; $CC -S a.c"),
    remote("umask 0777; $CC -c a.c -o a.o; chmod 600 a.o"),
    remote("PWD=/nowhere; export PWD; $CC -g -c a.c"),
    remote("mkdir real; ln -s real link; cd link; $CC -g -I../ -c ../a.c"),
    remote("exec 2>&1; $CC -c a.c; echo done"),
    remote("exec <&-; $CC -c a.c"),
    remote("LC_ALL=C.UTF-8 $CC -Wall -c wide.c"),
    remote("SOURCE_DATE_EPOCH=1000000000 $CC -DWHEN='__DATE__ __TIME__' -include own.h -c a.c"),
    remote(
        "printf 'const char *when(void) { return __DATE__ __TIME__; }' > when.c; \
            SOURCE_DATE_EPOCH=1000000000 $CC -c when.c",
    )
    // clang obeys it from 16.
    .on(GNU),
    remote("CPATH=inc $CC -c find.c"),
    remote("C_INCLUDE_PATH=inc CPLUS_INCLUDE_PATH=inc $CC -c find.c"),
];
