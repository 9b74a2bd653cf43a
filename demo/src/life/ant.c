/* Langton's ant: ten thousand steps of chaos, then a highway of period 104. */
#include "cabinet.h"

enum { SIDE = 256, PERIOD = 104 };

static unsigned char black[SIDE][SIDE];

struct ant {
    int x, y, heading;
};

static void step(struct ant *ant) {
    static const int dx[] = {0, 1, 0, -1}, dy[] = {-1, 0, 1, 0};
    unsigned char *cell = &black[ant->y][ant->x];
    ant->heading = (ant->heading + (*cell ? 3 : 1)) % 4;
    *cell ^= 1;
    ant->x += dx[ant->heading];
    ant->y += dy[ant->heading];
}

void exhibit_ant(struct visit *visit) {
    struct ant ant = {SIDE / 2, SIDE / 2, 0};
    for (int i = 0; i < 11000; i++)
        step(&ant);
    for (int lap = 0; lap < 8; lap++) {
        struct ant before = ant;
        for (int i = 0; i < PERIOD; i++)
            step(&ant);
        int dx = ant.x - before.x, dy = ant.y - before.y;
        CHECK(visit, (dx == 2 || dx == -2) && (dy == 2 || dy == -2) && ant.heading == before.heading);
    }
}
