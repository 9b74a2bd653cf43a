/* Opens walls in any order wherever they part two regions. */
#include "cabinet.h"
#include "maze.h"

static int find(int *parent, int cell) {
    while (parent[cell] != cell)
        cell = parent[cell] = parent[parent[cell]];
    return cell;
}

void carve_kruskal(struct maze *maze, struct dice *dice) {
    int parent[MAZE_MAX], wall[2 * MAZE_MAX], walls = 0, cells = maze->width * maze->height;
    for (int cell = 0; cell < cells; cell++) {
        parent[cell] = cell;
        for (int direction = EAST; direction <= SOUTH; direction <<= 1)
            if (maze_neighbour(maze, cell, direction) >= 0)
                wall[walls++] = cell << 2 | direction;
    }
    while (walls) {
        unsigned chosen = dice_roll(dice, (unsigned)walls);
        int cell = wall[chosen] >> 2, direction = wall[chosen] & 3;
        int one = find(parent, cell), other = find(parent, maze_neighbour(maze, cell, direction));
        wall[chosen] = wall[--walls];
        if (one != other) {
            parent[one] = other;
            maze_open(maze, cell, direction);
        }
    }
}

void exhibit_kruskal(struct visit *visit) {
    struct maze maze;
    struct dice dice = dice_new(3);
    maze_init(&maze, 25, 40);
    carve_kruskal(&maze, &dice);
    CHECK(visit, maze_is_perfect(&maze));
}
