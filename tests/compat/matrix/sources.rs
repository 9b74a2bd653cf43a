//! The files that every command finds; each is both C and C++ unless its name says otherwise.

/// Name and text.
pub(super) const SOURCES: &[(&str, &str)] = &[
    ("a.c", A),
    ("c.c", "int other(int x) { return x + 1; }\n"),
    ("b.cc", B),
    ("s.hidden", "int hidden(int x) { return x * 3; }\n"),
    ("noext", "#include \"own.h\"\nint noext(void) { return SIZE; }\n"),
    ("own.h", "#ifndef OWN_H\n#define OWN_H\n#include \"inc/deep.h\"\n#define SIZE 4\n#endif\n"),
    ("inc/deep.h", "#define GREETING \"hello\"\n"),
    ("inc/found.h", "#define FOUND 1\n"),
    ("sub/s.c", "#include \"../own.h\"\nint sub(void) { return SIZE; }\n"),
    ("find.c", "#include <found.h>\n#include \"own.h\"\nint find(void) { return FOUND + SIZE; }\n"),
    ("name with blank.c", "#include \"own.h\"\nint blank(void) { return SIZE; }\n"),
    ("empty.c", ""),
    ("m.m", "int objective(void) { return 1; }\n"),
    (
        "mm.mm",
        "template <class T> T same(T t) { return t; }\nint objective() { return same(1); }\n",
    ),
    ("p.i", P),
    ("p.ii", P),
    ("x.s", "\t.data\n\t.globl v\nv:\t.long 3\n"),
    ("y.S", "#define N 3\n\t.data\n\t.globl v\nv:\t.long N\n"),
    ("linked.sh", LINKED),
    ("math.c", MATH),
    ("warn.c", WARN),
    ("system.c", SYSTEM),
    ("fall.c", FALL),
    ("maybe.c", MAYBE),
    ("note.c", "#include \"own.h\"\n#warning \"look here\"\nint note(void) { return SIZE; }\n"),
    ("bad.c", "#include \"own.h\"\nint f(void)\n{\n    return oops + SIZE;\n}\n"),
    ("missing.c", "#include \"own.h\"\n#include \"no-such.h\"\nint f(void) { return SIZE; }\n"),
    ("syntax.c", "int f( { return 1; }\nint g(void) { return }\n"),
    ("stop.c", "#include \"own.h\"\n#error not here\nint f(void) { return SIZE; }\n"),
    ("assert.c", "#include <assert.h>\nint checked(int x) { assert(x > 0); return x; }\n"),
    (
        "embedded.c",
        "__asm__(\".globl there\\nthere: .long 7\");\nint embedded(void) { return 7; }\n",
    ),
    ("narrow.c", "const char *narrow(void) { return \"\u{fc}ber\"; }\n"),
    ("wide.c", "const char *wide(void) { return \"\u{fc}ber \u{2192}\"; }\n"),
];

const A: &str = r#"#include <stdio.h>
#include "own.h"

/* A comment with "quotes" and an apostrophe: don't. */
#define TWICE(x) ((x) * 2)

static int table[] = {1, 2, 3, SIZE};

int lookup(int i)
{
    switch (i) {
    case 0:
        i = TWICE(i) + 1;
        /* fallthrough */
    case 1:
        return table[i & 3];
    default:
        return -1;
    }
}

int greet(void) { return printf("%s %s:%d\n", GREETING, __FILE__, __LINE__); }
"#;

const B: &str = r#"#include <cstddef>
#include <utility>

namespace {
template <class T, std::size_t N> struct Row {
    T cells[N];
    T sum() const
    {
        T total = T();
        for (std::size_t i = 0; i != N; ++i)
            total += cells[i];
        return total;
    }
};
} // namespace

struct Shape {
    virtual ~Shape() {}
    virtual int area() const = 0;
};
struct Square : Shape {
    int side;
    explicit Square(int s) : side(s) {}
    int area() const { return side * side; }
};

int total(int x)
{
    Row<int, 3> row = {{x, 2, 3}};
    Square square(x);
    std::pair<int, int> both(row.sum(), square.area());
    return both.first + both.second;
}
"#;

const P: &str = "# 1 \"p.c\"\n# 1 \"p.h\" 1\nextern int outer;\n# 2 \"p.c\" 2\nint inner(void) { return outer; }\n";

// Makes of each of gcc's LTO objects what the linker would.
const LINKED: &str = r#"for object in *.o sub/*.o; do
    [ -f "$object" ] || continue
    $RAW -r -flto -O2 -frandom-seed=1 -flinker-output=nolto-rel "$object" -o linked || exit
    mv linked "$object"
done
"#;

const MATH: &str = r#"#include <stddef.h>
static inline float mix(float a, float b) { return a * 0.5f + b; }
void blend(float *out, const float *in, size_t n)
{
    size_t i;
    for (i = 0; i != n; ++i)
        out[i] = mix(out[i], in[i]);
}
int bits(unsigned long x) { return __builtin_popcountl(x) + __builtin_ctzl(x | 1); }
"#;

const WARN: &str = r#"#include <stdio.h>
#include <string.h>

static int never_used(int x) { return x; }

int compare(int a, unsigned b)
{
    int unused;
	char tabbed = a == 0 ? 300 : 1;
    if (a < b && tabbed)
        return strlen("x") == 1;
    printf("%d\n", "text");
    return 0;
}
"#;

// What a system header's macro expands to is not to be warned about.
const SYSTEM: &str = r#"#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>

#define MAX(a, b) ((a) > (b) ? (a) : (b))

int wait_for(int fd, unsigned n)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    if (MAX(fd, n) == 3)
        return FD_ISSET(fd, &set);
    return strcmp("a", "b") == 0 ? putchar('x') : EOF;
}
"#;

const FALL: &str = r#"int fall(int i)
{
    int n = 0;
    switch (i) {
    case 0:
        n = 1;
        /* fallthrough */
    case 1:
        n += 2;
        /* FALLTHRU */
    case 2:
        n += 3;
    case 3:
        return n;
    }
    return 0;
}
"#;

const MAYBE: &str = r#"extern int given(int *);
int maybe(int a)
{
    int value;
    int buffer[4];
    if (a)
        value = given(&a);
    buffer[4] = a;
    return value + buffer[a & 3];
}
"#;
