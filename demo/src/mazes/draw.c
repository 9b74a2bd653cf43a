/* Mazes on a terminal. */
#include "maze.h"

#include <stdio.h>

void maze_print(const struct maze *maze) {
    for (int x = 0; x < maze->width; x++)
        fputs("+---", stdout);
    puts("+");
    for (int y = 0; y < maze->height; y++) {
        const unsigned char *open = maze->open + y * maze->width, *mark = maze->mark + y * maze->width;
        putchar('|');
        for (int x = 0; x < maze->width; x++)
            printf(" %c %c", mark[x] ? '*' : ' ', open[x] & EAST ? ' ' : '|');
        putchar('\n');
        for (int x = 0; x < maze->width; x++)
            fputs(open[x] & SOUTH ? "+   " : "+---", stdout);
        puts("+");
    }
}
