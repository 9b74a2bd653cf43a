/* Carves long winding ways: on until there is no way, then back. */
#include "cabinet.h"
#include "maze.h"

void carve_backtracker(struct maze *maze, struct dice *dice) {
    int stack[MAZE_MAX], top = 0;
    stack[top++] = 0;
    maze->mark[0] = 1;
    while (top) {
        int cell = stack[top - 1], ways[4], count = 0;
        for (int direction = EAST; direction <= NORTH; direction <<= 1) {
            int next = maze_neighbour(maze, cell, direction);
            if (next >= 0 && !maze->mark[next])
                ways[count++] = direction;
        }
        if (count == 0) {
            top--;
            continue;
        }
        int way = ways[dice_roll(dice, (unsigned)count)], next = maze_neighbour(maze, cell, way);
        maze_open(maze, cell, way);
        maze->mark[next] = 1;
        stack[top++] = next;
    }
}

void exhibit_backtracker(struct visit *visit) {
    struct maze maze;
    struct dice dice = dice_new(1);
    maze_init(&maze, 32, 32);
    carve_backtracker(&maze, &dice);
    CHECK(visit, maze_is_perfect(&maze));
}
