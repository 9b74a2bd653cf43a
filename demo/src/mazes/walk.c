/* The way through a maze: breadth first, and with a hand on the wall. */
#include "cabinet.h"
#include "maze.h"

#include <string.h>

int maze_solve(struct maze *maze) {
    int queue[MAZE_MAX], from[MAZE_MAX], head = 0, tail = 0, goal = maze->width * maze->height - 1;
    memset(from, -1, sizeof from);
    memset(maze->mark, 0, sizeof maze->mark);
    queue[tail++] = 0;
    from[0] = 0;
    while (head < tail && from[goal] < 0) {
        int cell = queue[head++];
        for (int direction = EAST; direction <= NORTH; direction <<= 1) {
            int next = maze->open[cell] & direction ? maze_neighbour(maze, cell, direction) : -1;
            if (next >= 0 && from[next] < 0) {
                from[next] = cell;
                queue[tail++] = next;
            }
        }
    }
    if (from[goal] < 0)
        return 0;
    int length = 1;
    for (int cell = goal; cell != 0; cell = from[cell], length++)
        maze->mark[cell] = 1;
    maze->mark[0] = 1;
    return length;
}

/* Steps until the goal with the right hand on the wall, or -1. */
static int follow_wall(const struct maze *maze) {
    int cell = 0, heading = 0, goal = maze->width * maze->height - 1, limit = 4 * MAZE_MAX;
    for (int steps = 0; steps < limit; steps++) {
        if (cell == goal)
            return steps;
        heading = (heading + 1) % 4; /* to the right first, then turn left until open */
        while (!(maze->open[cell] & 1 << heading))
            heading = (heading + 3) % 4;
        cell = maze_neighbour(maze, cell, 1 << heading);
    }
    return -1;
}

void exhibit_maze_walk(struct visit *visit) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct maze maze;
        struct dice dice = dice_new(seed);
        maze_init(&maze, 24, 18);
        carve_backtracker(&maze, &dice);
        int length = maze_solve(&maze), steps = follow_wall(&maze);
        CHECK(visit, length >= 24 + 18 - 1);
        CHECK(visit, steps >= length - 1 && (steps - length + 1) % 2 == 0);
    }
}
