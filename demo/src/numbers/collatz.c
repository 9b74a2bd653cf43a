/* Three n plus one: how long it takes to come down. */
#include "cabinet.h"

static int steps(unsigned long n) {
    int count = 0;
    for (; n != 1; count++)
        n = n % 2 ? 3 * n + 1 : n / 2;
    return count;
}

void exhibit_collatz(struct visit *visit) {
    int longest = 0, of = 0;
    for (int n = 1; n < 10000; n++)
        if (steps((unsigned long)n) > longest) {
            longest = steps((unsigned long)n);
            of = n;
        }
    CHECK(visit, steps(27) == 111);
    CHECK(visit, of == 6171 && longest == 261);
}
