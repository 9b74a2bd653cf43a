/* Row by row: each run of cells has one door to the north, and the first row is a corridor. */
#include "cabinet.h"
#include "maze.h"

void carve_sidewinder(struct maze *maze, struct dice *dice) {
    for (int y = 0; y < maze->height; y++) {
        int run = 0;
        for (int x = 0; x < maze->width; x++) {
            int cell = y * maze->width + x, at_end = x + 1 == maze->width;
            if (at_end || (y > 0 && dice_roll(dice, 2))) {
                if (y > 0)
                    maze_open(maze, y * maze->width + run + (int)dice_roll(dice, (unsigned)(x - run + 1)), NORTH);
                run = x + 1;
            } else {
                maze_open(maze, cell, EAST);
            }
        }
    }
}

void exhibit_sidewinder(struct visit *visit) {
    struct maze maze;
    struct dice dice = dice_new(5);
    maze_init(&maze, 31, 33);
    carve_sidewinder(&maze, &dice);
    CHECK(visit, maze_is_perfect(&maze));
    CHECK(visit, (maze.open[0] & EAST) && (maze.open[29] & EAST));
}
