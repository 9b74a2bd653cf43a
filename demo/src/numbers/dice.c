/* The dice that other exhibits throw, and whether they are fair. */
#include "dice.h"

#include "cabinet.h"

struct dice dice_new(uint64_t seed) {
    /* The generator would stay at zero for ever. */
    struct dice dice = {seed * 0x9E3779B97F4A7C15u | 1};
    return dice;
}

uint64_t dice_next(struct dice *dice) {
    uint64_t x = dice->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    dice->state = x;
    return x * 0x2545F4914F6CDD1Du;
}

unsigned dice_roll(struct dice *dice, unsigned sides) {
    return (unsigned)((dice_next(dice) >> 33) % sides);
}

void exhibit_dice(struct visit *visit) {
    struct dice dice = dice_new(6);
    int seen[6] = {0};
    for (int i = 0; i < 60000; i++)
        seen[dice_roll(&dice, 6)]++;
    for (int side = 0; side < 6; side++)
        CHECK(visit, seen[side] > 9600 && seen[side] < 10400);
}
