/* Roman numerals, there and back. */
#include "cabinet.h"

#include <string.h>

static const struct {
    int value;
    const char *letters;
} steps[] = {{1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"},
             {40, "XL"},  {10, "X"},   {9, "IX"},  {5, "V"},    {4, "IV"},  {1, "I"}};

static void to_roman(int number, char *out) {
    *out = '\0';
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++)
        for (; number >= steps[i].value; number -= steps[i].value)
            strcat(out, steps[i].letters);
}

static int from_roman(const char *text) {
    int number = 0;
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        size_t length = strlen(steps[i].letters);
        for (; strncmp(text, steps[i].letters, length) == 0; text += length)
            number += steps[i].value;
    }
    return *text ? -1 : number;
}

void exhibit_roman(struct visit *visit) {
    char text[32];
    int same = 0;
    for (int number = 1; number < 4000; number++) {
        to_roman(number, text);
        same += from_roman(text) == number;
    }
    CHECK(visit, same == 3999);
    to_roman(1994, text);
    CHECK(visit, strcmp(text, "MCMXCIV") == 0);
    CHECK(visit, from_roman("IIX") == -1);
}
