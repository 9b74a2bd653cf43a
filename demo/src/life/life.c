/* Conway's life on a torus: a glider travels, a pulsar beats. */
#include "cabinet.h"

#include <string.h>

enum { SIDE = 24 };

typedef unsigned char world[SIDE][SIDE];

static void tick(world now) {
    world next;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            int around = -now[y][x];
            for (int dy = SIDE - 1; dy <= SIDE + 1; dy++)
                for (int dx = SIDE - 1; dx <= SIDE + 1; dx++)
                    around += now[(y + dy) % SIDE][(x + dx) % SIDE];
            next[y][x] = around == 3 || (around == 2 && now[y][x]);
        }
    memcpy(now, next, sizeof next);
}

static void place(world to, int y, int x, const char *const *rows) {
    for (; *rows; rows++, y++)
        for (int i = 0; (*rows)[i]; i++)
            to[y][x + i] = (*rows)[i] == '#';
}

void exhibit_life(struct visit *visit) {
    static const char *const glider[] = {".#.", "..#", "###", NULL};
    static const char *const pulsar[] = {"..###...###..", ".............", "#....#.#....#", "#....#.#....#",
                                         "#....#.#....#", "..###...###..", ".............", "..###...###..",
                                         "#....#.#....#", "#....#.#....#", "#....#.#....#", ".............",
                                         "..###...###..", NULL};
    world here = {{0}}, there = {{0}};
    place(here, 1, 1, glider);
    place(there, 6, 6, glider);
    for (int i = 0; i < 20; i++)
        tick(here);
    CHECK(visit, memcmp(here, there, sizeof here) == 0);

    memset(here, 0, sizeof here);
    place(here, 5, 5, pulsar);
    memcpy(there, here, sizeof here);
    tick(here);
    CHECK(visit, memcmp(here, there, sizeof here) != 0);
    tick(here);
    tick(here);
    CHECK(visit, memcmp(here, there, sizeof here) == 0);
}
