/* Mazes on a grid: a cell knows in which directions it is open. */
#ifndef MAZE_H
#define MAZE_H

#include "dice.h"

enum { EAST = 1, SOUTH = 2, WEST = 4, NORTH = 8 };
enum { MAZE_MAX = 1024 };

struct maze {
    int width, height;
    unsigned char open[MAZE_MAX]; /* of cell y * width + x: directions without a wall */
    unsigned char mark[MAZE_MAX]; /* for carvers and solvers */
};

void maze_init(struct maze *maze, int width, int height);
/* The neighbour in a direction, or -1 at the border. */
int maze_neighbour(const struct maze *maze, int cell, int direction);
/* Opens the wall in a direction, on both sides. */
void maze_open(struct maze *maze, int cell, int direction);
/* A random direction in which there is a neighbour. */
int maze_any_direction(const struct maze *maze, int cell, struct dice *dice);
/* True if every cell can be reached from every other in exactly one way. */
int maze_is_perfect(struct maze *maze);

void carve_backtracker(struct maze *maze, struct dice *dice);
void carve_prim(struct maze *maze, struct dice *dice);
void carve_kruskal(struct maze *maze, struct dice *dice);
void carve_wilson(struct maze *maze, struct dice *dice);
void carve_sidewinder(struct maze *maze, struct dice *dice);

/* Marks the cells of the way from the first cell to the last; its length in cells. */
int maze_solve(struct maze *maze);
/* Prints walls, and marked cells as dots. */
void maze_print(const struct maze *maze);

#endif
