/* The digits of pi, one after another, with small integers only (Rabinowitz and Wagon). */
#include "cabinet.h"

#include <string.h>

enum { DIGITS = 60, CELLS = DIGITS * 10 / 3 + 2 };

static void spigot(char out[DIGITS + 1]) {
    int cell[CELLS], held = -1, nines = 0, written = 0;
    for (int i = 0; i < CELLS; i++)
        cell[i] = 2;
    while (written < DIGITS) {
        int carry = 0;
        for (int i = CELLS - 1; i > 0; i--) {
            int value = cell[i] * 10 + carry * (i + 1);
            cell[i] = value % (2 * i + 1);
            carry = value / (2 * i + 1);
        }
        int value = cell[0] * 10 + carry, digit = value / 10;
        cell[0] = value % 10;
        if (digit == 9) { /* may still become 10 */
            nines++;
            continue;
        }
        if (held >= 0)
            out[written++] = (char)('0' + held + digit / 10);
        for (; nines > 0 && written < DIGITS; nines--)
            out[written++] = digit == 10 ? '0' : '9';
        nines = 0;
        held = digit % 10;
    }
    out[DIGITS] = '\0';
}

void exhibit_spigot(struct visit *visit) {
    char digits[DIGITS + 1];
    spigot(digits);
    CHECK(visit, strncmp(digits, "31415926535897932384626433832795028841971693993751", 50) == 0);
}
