/* The sieve of Eratosthenes, and Goldbach's claim for small even numbers. */
#include "cabinet.h"

#include <string.h>

enum { LIMIT = 100000 };

static char composite[LIMIT + 1];

static int sieve(void) {
    int primes = 0;
    memset(composite, 0, sizeof composite);
    composite[0] = composite[1] = 1;
    for (int n = 2; n <= LIMIT; n++) {
        if (composite[n])
            continue;
        primes++;
        for (long multiple = (long)n * n; multiple <= LIMIT; multiple += n)
            composite[multiple] = 1;
    }
    return primes;
}

static int is_sum_of_primes(int even) {
    for (int one = 2; one <= even / 2; one++)
        if (!composite[one] && !composite[even - one])
            return 1;
    return 0;
}

void exhibit_sieve(struct visit *visit) {
    CHECK(visit, sieve() == 9592);
    CHECK(visit, !composite[99991] && composite[99993]);
    int sums = 0;
    for (int even = 4; even <= 2000; even += 2)
        sums += is_sum_of_primes(even);
    CHECK(visit, sums == 999);
}
