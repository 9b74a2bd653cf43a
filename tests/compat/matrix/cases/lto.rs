//! Link-time optimisation. clang's bitcode is compared as it is, and so are gcc's objects from a
//! server of ours where they hold neither debugging information, the directory of a preprocessed
//! source nor templates of a library. Of the others the machine code that comes of them is compared:
//! `linked.sh` puts it in their place.

use crate::matrix::case::*;

pub(super) const CASES: &[Case] = &[
    remote("$CC -flto -frandom-seed=1 -O2 -c a.c"),
    remote("$CC -flto -frandom-seed=1 -c c.c"),
    remote("$CC -flto -frandom-seed=1 -O2 -c c.c && objdump -s c.o | grep -A9 lto_.opts; rm c.o")
        .on(GNU),
    remote("$CC -flto -frandom-seed=1 -O2 -c math.c -o sub/m.o"),
    remote("$CC -flto=auto -frandom-seed=1 -O2 -c a.c && sh linked.sh").on(GNU),
    remote("$CC -flto=jobserver -frandom-seed=1 -O2 -c a.c && sh linked.sh").on(GNU),
    remote("$CC -flto=2 -frandom-seed=1 -c a.c && sh linked.sh").on(GNU),
    remote("$CC -flto -O2 -c a.c && sh linked.sh").on(GNU),
    remote("$CC -flto -g -O2 -c math.c && sh linked.sh").on(GNU),
    remote("$CC -flto=thin -O2 -c a.c").on(LLVM),
    remote("$CC -flto=full -O2 -c math.c").on(LLVM),
    remote("$CC -flto -O2 -c b.cc -frandom-seed=1").on(LLVM),
    remote("$CC -flto -O2 -c b.cc -frandom-seed=1 && sh linked.sh").on(GNU),
    remote("$CC -flto -ffat-lto-objects -frandom-seed=1 -O2 -c a.c").on(GNU),
    remote("$CC -flto -fno-fat-lto-objects -frandom-seed=1 -O2 -c a.c").on(GNU),
    remote("$CC -flto -fno-lto -O2 -c a.c"),
    remote("$CC -fno-lto -O2 -c a.c"),
    remote("$CC -flto -fuse-linker-plugin -frandom-seed=1 -c a.c").on(GNU),
    remote("$CC -flto -flto-partition=none -frandom-seed=1 -c c.c").on(GNU),
    remote("$CC -flto -flto-compression-level=1 -frandom-seed=1 -c c.c").on(GNU),
    remote("$CC -flto -fwhole-program-vtables -fvisibility=hidden -c b.cc").on(LLVM),
    remote("$CC -flto=thin -fsplit-lto-unit -c b.cc").on(LLVM),
    remote("$CC -flto -g -O2 -c c.c && opt -strip-debug c.o -o c.o").on(LLVM),
    remote("$CC -flto -MD -frandom-seed=1 -c a.c"),
    remote("$CC -flto -MMD -MF deps -frandom-seed=1 -c a.c -o sub/a.o"),
    remote("$CC -flto -frandom-seed=1 -S a.c"),
    remote("$CC -flto -frandom-seed=1 -fPIC -c a.c"),
    remote("$CC -flto -frandom-seed=1 -c a.c c.c").jobs(2).here_with(CLANGXX),
    remote("echo '-flto -frandom-seed=1' > args; $CC @args -c a.c"),
    local("$CC -flto -frandom-seed=1 -march=native -O2 -c math.c").on(LLVM),
    remote("$CC -flto -frandom-seed=1 -march=native -O2 -c math.c && sh linked.sh").on(GNU),
    remote("$CC -flto -frandom-seed=1 -c p.i").on(LLVM).here_with(CLANGXX),
    remote("$CC -flto -frandom-seed=1 -c p.i && sh linked.sh").on(GNU),
    anywhere("$CC -flto -frandom-seed=1 -Wall -c warn.c"),
    anywhere("$CC -flto -c bad.c"),
    anywhere("$CC -flto=nonsense -c a.c"),
    local(
        "echo 'int main(void) { return 0; }' > main.c; \
           $CC -flto -O2 main.c -o main && ./main; rm main",
    ),
];
