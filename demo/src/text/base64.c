/* Base64 (RFC 4648, section 4). */
#include "cabinet.h"

#include <stdio.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode(const unsigned char *in, size_t length, char *out) {
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        unsigned bits = (unsigned)in[i] << 16 | (left > 1 ? (unsigned)in[i + 1] << 8 : 0u) | (left > 2 ? in[i + 2] : 0u);
        *out++ = alphabet[bits >> 18];
        *out++ = alphabet[bits >> 12 & 63];
        *out++ = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? alphabet[bits & 63] : '=';
    }
    *out = '\0';
}

static size_t decode(const char *in, unsigned char *out) {
    size_t length = 0;
    unsigned bits = 0;
    int held = 0;
    for (; *in && *in != '='; in++) {
        bits = bits << 6 | (unsigned)(strchr(alphabet, *in) - alphabet);
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[length++] = (unsigned char)(bits >> held);
        }
    }
    return length;
}

void exhibit_base64(struct visit *visit) {
    static const char *const table[][2] = {{"", ""},         {"f", "Zg=="},         {"fo", "Zm8="},
                                           {"foo", "Zm9v"},  {"foob", "Zm9vYg=="},  {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
        char text[16];
        unsigned char back[16];
        size_t length = strlen(table[i][0]);
        encode((const unsigned char *)table[i][0], length, text);
        CHECK(visit, strcmp(text, table[i][1]) == 0);
        CHECK(visit, decode(text, back) == length && memcmp(back, table[i][0], length) == 0);
    }
}
