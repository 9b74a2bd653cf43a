/* One-dimensional automata: chaos from rule 30, Sierpinski's triangle from rule 90. */
#include "cabinet.h"

#include <stdint.h>

/* The next row of a 64-cell ring. */
static uint64_t step(uint64_t row, unsigned rule) {
    uint64_t next = 0;
    for (int i = 0; i < 64; i++) {
        unsigned left = row >> ((i + 1) % 64) & 1, self = row >> i & 1, right = row >> ((i + 63) % 64) & 1;
        next |= (uint64_t)(rule >> (left << 2 | self << 1 | right) & 1) << i;
    }
    return next;
}

static int ones(uint64_t row) {
    int count = 0;
    for (; row; row &= row - 1)
        count++;
    return count;
}

void exhibit_rule30(struct visit *visit) {
    uint64_t row = (uint64_t)1 << 32;
    /* The middle column of rule 30 begins 1 1 0 1 1 1 0 0 1 1 0 0 0 1 0 1. */
    unsigned column = 0;
    for (int i = 0; i < 16; i++, row = step(row, 30))
        column = column << 1 | (unsigned)(row >> 32 & 1);
    CHECK(visit, column == 0xDCC5);
    row = (uint64_t)1 << 32;
    for (int i = 0; i < 31; i++, row = step(row, 90))
        CHECK(visit, ones(row) == 1 << ones((uint64_t)i));
}
