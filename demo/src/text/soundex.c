/* Soundex: names that sound alike have the same code. */
#include "cabinet.h"

#include <ctype.h>
#include <string.h>

static void soundex(const char *name, char out[5]) {
    static const char digits[] = "01230120022455012623010202"; /* of A .. Z */
    int length = 1;
    strcpy(out, "X000");
    out[0] = (char)toupper((unsigned char)*name);
    char last = digits[out[0] - 'A'];
    for (name++; *name && length < 4; name++) {
        char letter = (char)toupper((unsigned char)*name);
        char digit = digits[letter - 'A'];
        if (digit != '0' && digit != last)
            out[length++] = digit;
        if (letter != 'H' && letter != 'W') /* these do not part two letters of one sound */
            last = digit;
    }
}

void exhibit_soundex(struct visit *visit) {
    char one[5], other[5];
    soundex("Robert", one);
    soundex("Rupert", other);
    CHECK(visit, strcmp(one, "R163") == 0 && strcmp(other, "R163") == 0);
    soundex("Ashcraft", one);
    CHECK(visit, strcmp(one, "A261") == 0);
    soundex("Tymczak", one);
    CHECK(visit, strcmp(one, "T522") == 0);
    soundex("Lee", one);
    CHECK(visit, strcmp(one, "L000") == 0);
}
