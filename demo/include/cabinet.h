/* The cabinet: an exhibit is one function that does something curious and checks it. */
#ifndef CABINET_H
#define CABINET_H

#ifdef __cplusplus
extern "C" {
#endif

/* What a visitor of the cabinet has seen so far. */
struct visit {
    unsigned exhibits, checks, faults;
};

typedef void exhibit_fn(struct visit *visit);

/* Counts a claim and reports it on stderr when it does not hold. */
void visit_check(struct visit *visit, int holds, const char *claim, const char *file, int line);

/* Variadic, so that a claim may hold commas of templates and initialisers. */
#define CHECK(visit, ...) visit_check((visit), (__VA_ARGS__) ? 1 : 0, #__VA_ARGS__, __FILE__, __LINE__)

#define EXHIBIT(name) exhibit_fn exhibit_##name;
#include "catalogue.def"
#undef EXHIBIT

/* A picture of `width` x `height` characters of the Mandelbrot set, lines ended by '\n'. */
void mandelbrot_picture(char *out, int width, int height);

#ifdef __cplusplus
}
#endif
#endif
