/* Every maze is equally likely: random walks whose loops are cut off. */
#include "cabinet.h"
#include "maze.h"

void carve_wilson(struct maze *maze, struct dice *dice) {
    int way[MAZE_MAX], cells = maze->width * maze->height;
    maze->mark[0] = 1;
    for (int start = 1; start < cells; start++) {
        /* The last direction taken from a cell is the one that is on the loop-free way. */
        for (int cell = start; !maze->mark[cell]; cell = maze_neighbour(maze, cell, way[cell]))
            way[cell] = maze_any_direction(maze, cell, dice);
        for (int cell = start; !maze->mark[cell]; cell = maze_neighbour(maze, cell, way[cell])) {
            maze->mark[cell] = 1;
            maze_open(maze, cell, way[cell]);
        }
    }
}

void exhibit_wilson(struct visit *visit) {
    struct maze maze;
    struct dice dice = dice_new(4);
    maze_init(&maze, 20, 20);
    carve_wilson(&maze, &dice);
    CHECK(visit, maze_is_perfect(&maze));
}
