/* Adler's checksum of zlib, whole and rolling. */
#include "cabinet.h"

#include <stdint.h>
#include <string.h>

enum { MODULUS = 65521 };

static uint32_t adler(const char *data, size_t length) {
    uint32_t a = 1, b = 0;
    while (length--) {
        a = (a + (unsigned char)*data++) % MODULUS;
        b = (b + a) % MODULUS;
    }
    return b << 16 | a;
}

/* The sum of a window of `length` bytes moved on by one byte. */
static uint32_t roll(uint32_t sum, size_t length, unsigned char gone, unsigned char came) {
    uint32_t a = ((sum & 0xFFFF) + MODULUS - gone + came) % MODULUS;
    uint32_t b = ((sum >> 16) + (uint32_t)(length * (MODULUS - gone)) % MODULUS + a + MODULUS - 1) % MODULUS;
    return b << 16 | a;
}

void exhibit_adler32(struct visit *visit) {
    static const char text[] = "a window slides over this text and its sum is known at every place";
    const size_t width = 16;
    CHECK(visit, adler("Wikipedia", 9) == 0x11E60398u);
    uint32_t sum = adler(text, width);
    for (size_t i = 0; i + width < strlen(text); i++) {
        sum = roll(sum, width, (unsigned char)text[i], (unsigned char)text[i + width]);
        CHECK(visit, sum == adler(text + i + 1, width));
    }
}
