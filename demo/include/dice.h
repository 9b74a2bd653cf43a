/* A small generator of pseudo-random numbers (xorshift), the same on every machine. */
#ifndef DICE_H
#define DICE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dice {
    uint64_t state;
};

/* Any seed will do. */
struct dice dice_new(uint64_t seed);
uint64_t dice_next(struct dice *dice);
/* A number in 0 .. sides-1. */
unsigned dice_roll(struct dice *dice, unsigned sides);

#ifdef __cplusplus
}
#endif
#endif
