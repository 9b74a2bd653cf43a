/* Grows a maze from one cell at its ragged edge. */
#include "cabinet.h"
#include "maze.h"

void carve_prim(struct maze *maze, struct dice *dice) {
    int edge[MAZE_MAX], count = 0, grown = 1, cells = maze->width * maze->height;
    edge[count++] = 0;
    maze->mark[0] = 1;
    while (grown < cells) {
        unsigned chosen = dice_roll(dice, (unsigned)count);
        int cell = edge[chosen], free_sides = 0;
        for (int direction = EAST; direction <= NORTH; direction <<= 1) {
            int next = maze_neighbour(maze, cell, direction);
            free_sides += next >= 0 && !maze->mark[next];
        }
        if (free_sides == 0) {
            edge[chosen] = edge[--count];
            continue;
        }
        int way = maze_any_direction(maze, cell, dice), next = maze_neighbour(maze, cell, way);
        if (maze->mark[next])
            continue;
        maze_open(maze, cell, way);
        maze->mark[next] = 1;
        edge[count++] = next;
        grown++;
    }
}

void exhibit_prim(struct visit *visit) {
    struct maze maze;
    struct dice dice = dice_new(2);
    maze_init(&maze, 40, 25);
    carve_prim(&maze, &dice);
    CHECK(visit, maze_is_perfect(&maze));
}
