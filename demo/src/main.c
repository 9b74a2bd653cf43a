/* A walk through the whole cabinet; the exit code says whether everything held. */
#include "cabinet.h"
#include "maze.h"

#include <stdio.h>

static exhibit_fn *const catalogue[] = {
#define EXHIBIT(name) exhibit_##name,
#include "catalogue.def"
#undef EXHIBIT
};

void visit_check(struct visit *visit, int holds, const char *claim, const char *file, int line) {
    visit->checks++;
    if (!holds) {
        visit->faults++;
        fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, claim);
    }
}

static void show_pictures(void) {
    static char picture[64 * 32];
    mandelbrot_picture(picture, 60, 15);
    fputs(picture, stdout);

    static struct maze maze;
    struct dice dice = dice_new(1729);
    maze_init(&maze, 15, 5);
    carve_wilson(&maze, &dice);
    maze_solve(&maze);
    maze_print(&maze);
}

int main(void) {
    struct visit visit = {0, 0, 0};
    show_pictures();
    for (unsigned i = 0; i < sizeof catalogue / sizeof *catalogue; i++) {
        unsigned before = visit.checks;
        catalogue[i](&visit);
        visit.exhibits++;
        CHECK(&visit, visit.checks > before);
    }
    if (visit.faults) {
        printf("cabinet: %u of %u checks do not hold\n", visit.faults, visit.checks);
        return 1;
    }
    printf("cabinet: %u exhibits, %u checks, all hold\n", visit.exhibits, visit.checks);
    return 0;
}
