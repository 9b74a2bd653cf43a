//! `-march=native` and its kin: the local processor's code from another machine.

use crate::matrix::case::*;

pub(super) const CASES: &[Case] = &[
    remote("$CC -march=native -c a.c"),
    remote("$CC -march=native -O2 -c math.c"),
    remote("$CC -O3 -march=native -funroll-loops -c math.c"),
    remote("$CC -march=native -Ofast -c math.c"),
    remote("$CC -mtune=native -O2 -c math.c"),
    remote("$CC -march=native -mtune=native -O2 -c math.c"),
    remote("$CC -march=native -mtune=generic -O2 -c math.c"),
    remote("$CC -mtune=native -march=x86-64-v2 -O2 -c math.c"),
    remote("$CC -march=native -mno-avx -O3 -c math.c"),
    remote("$CC -mno-avx -march=native -O3 -c math.c"),
    remote("$CC -march=native -mno-avx2 -mno-fma -O3 -c math.c"),
    remote("$CC -march=native -march=x86-64 -O3 -c math.c"),
    remote("$CC -march=x86-64 -march=native -O3 -c math.c"),
    remote("$CC -march=native -march=native -O2 -c math.c"),
    remote("$CC -mcpu=native -O2 -c math.c").on(GNU),
    anywhere("$CC -mcpu=native -O2 -c math.c").on(LLVM),
    remote("$CC -march=native -mprefer-vector-width=128 -O3 -c math.c"),
    remote("$CC -march=native -g -O2 -c math.c"),
    remote("$CC -march=native -S -O2 math.c"),
    remote("$CC -march=native -MD -O2 -c a.c -o sub/a.o"),
    remote("$CC -march=native -O2 -c b.cc"),
    remote("$CC -march=native -O2 -x c++ -c math.c"),
    remote("$CC -march=native -O2 -c a.c math.c").jobs(2).here_with(CLANGXX),
    remote("echo '-march=native -O3' > args; $CC @args -c math.c"),
    remote("$CC -march=native -O2 -c p.i").here_with(CLANGXX),
    remote(
        "printf '#ifdef __AVX__\\nint avx = 1;\\n#else\\nint no_avx = 1;\\n#endif\\n' > f.c; \
            $CC -march=native -c f.c",
    ),
    remote(
        "printf '#include <immintrin.h>\\n__m128i twice(__m128i a) { return _mm_add_epi32(a, a); }\\n' \
            > v.c; $CC -march=native -O2 -c v.c",
    ),
    remote("$CC -m32 -march=native -O2 -c c.c"),
    remote("DISTCC_NATIVE= $CC -march=native -O2 -c c.c"),
    local("DISTCC_NATIVE=local $CC -march=native -O2 -c math.c"),
    local("$CC -march=native -E math.c"),
    local("$CC -march=native -dM -E - < /dev/null"),
    anywhere("$CC -march=native -Wall -c warn.c"),
    anywhere("$CC -march=native -c bad.c"),
    anywhere("$CC -march=natives -c a.c"),
];
