/* The hash of Fowler, Noll and Vo (1a), and how evenly it fills a table. */
#include "cabinet.h"

#include <stdint.h>
#include <stdio.h>

static uint32_t fnv32(const char *text) {
    uint32_t hash = 0x811C9DC5u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x01000193u;
    return hash;
}

static uint64_t fnv64(const char *text) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001B3u;
    return hash;
}

void exhibit_fnv(struct visit *visit) {
    CHECK(visit, fnv32("") == 0x811C9DC5u && fnv32("foobar") == 0xBF9CF968u);
    CHECK(visit, fnv64("a") == 0xAF63DC4C8601EC8Cu);
    int bucket[64] = {0}, fullest = 0;
    for (int i = 0; i < 6400; i++) {
        char name[32];
        snprintf(name, sizeof name, "file%d.o", i);
        int load = ++bucket[fnv64(name) % 64];
        fullest = load > fullest ? load : fullest;
    }
    CHECK(visit, fullest < 150);
}
