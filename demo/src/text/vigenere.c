/* The cipher of Vigenere, and Caesar's as its shortest key. */
#include "cabinet.h"

#include <string.h>

static void shift(char *text, const char *key, int direction) {
    size_t length = strlen(key);
    for (size_t i = 0; text[i]; i++)
        text[i] = (char)('A' + (text[i] - 'A' + direction * (key[i % length] - 'A') + 26) % 26);
}

void exhibit_vigenere(struct visit *visit) {
    char text[] = "ATTACKATDAWN";
    shift(text, "LEMON", 1);
    CHECK(visit, strcmp(text, "LXFOPVEFRNHR") == 0);
    shift(text, "LEMON", -1);
    CHECK(visit, strcmp(text, "ATTACKATDAWN") == 0);
    char hal[] = "HAL";
    shift(hal, "B", 1);
    CHECK(visit, strcmp(hal, "IBM") == 0);
}
