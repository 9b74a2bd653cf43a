/* Euclid's algorithm, the inverse it gives, and the Chinese remainders. */
#include "cabinet.h"

/* gcd(a, b) = a * *x + b * *y */
static long euclid(long a, long b, long *x, long *y) {
    if (b == 0) {
        *x = 1;
        *y = 0;
        return a;
    }
    long u, v, divisor = euclid(b, a % b, &u, &v);
    *x = v;
    *y = u - a / b * v;
    return divisor;
}

static long inverse(long a, long modulus) {
    long x, y;
    euclid(a, modulus, &x, &y);
    return (x % modulus + modulus) % modulus;
}

void exhibit_euclid(struct visit *visit) {
    long x, y;
    CHECK(visit, euclid(240, 46, &x, &y) == 2 && 240 * x + 46 * y == 2);
    for (long a = 1; a < 101; a++)
        CHECK(visit, a * inverse(a, 101) % 101 == 1);
    /* Sun Tzu's: two left by threes, three left by fives, two left by sevens. */
    long n = (2 * 35 * inverse(35, 3) + 3 * 21 * inverse(21, 5) + 2 * 15 * inverse(15, 7)) % 105;
    CHECK(visit, n == 23);
}
