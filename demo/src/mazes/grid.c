/* The grid that mazes are carved into. */
#include "maze.h"

#include <string.h>

void maze_init(struct maze *maze, int width, int height) {
    memset(maze, 0, sizeof *maze);
    maze->width = width;
    maze->height = height;
}

int maze_neighbour(const struct maze *maze, int cell, int direction) {
    int x = cell % maze->width, y = cell / maze->width;
    switch (direction) {
    case EAST:
        return x + 1 < maze->width ? cell + 1 : -1;
    case SOUTH:
        return y + 1 < maze->height ? cell + maze->width : -1;
    case WEST:
        return x > 0 ? cell - 1 : -1;
    default:
        return y > 0 ? cell - maze->width : -1;
    }
}

void maze_open(struct maze *maze, int cell, int direction) {
    int opposite = direction > SOUTH ? direction >> 2 : direction << 2;
    maze->open[cell] |= (unsigned char)direction;
    maze->open[maze_neighbour(maze, cell, direction)] |= (unsigned char)opposite;
}

int maze_any_direction(const struct maze *maze, int cell, struct dice *dice) {
    int direction;
    do
        direction = 1 << dice_roll(dice, 4);
    while (maze_neighbour(maze, cell, direction) < 0);
    return direction;
}

int maze_is_perfect(struct maze *maze) {
    int stack[MAZE_MAX], top = 0, cells = maze->width * maze->height, reached = 0, ways = 0;
    memset(maze->mark, 0, sizeof maze->mark);
    stack[top++] = 0;
    maze->mark[0] = 1;
    while (top) {
        int cell = stack[--top];
        reached++;
        for (int direction = EAST; direction <= NORTH; direction <<= 1) {
            if (!(maze->open[cell] & direction))
                continue;
            int next = maze_neighbour(maze, cell, direction);
            ways++;
            if (!maze->mark[next]) {
                maze->mark[next] = 1;
                stack[top++] = next;
            }
        }
    }
    return reached == cells && ways == 2 * (cells - 1);
}
