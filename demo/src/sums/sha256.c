/* SHA-256 (FIPS 180-4); the constants are computed as the standard defines them. */
#include "cabinet.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint32_t constant[64], start[8];

/* The first 32 bits of the fractional parts of roots of the first primes. */
static void compute_constants(void) {
    int found = 0;
    for (int n = 2; found < 64; n++) {
        int prime = 1;
        for (int d = 2; d * d <= n; d++)
            prime &= n % d != 0;
        if (!prime)
            continue;
        double cube = cbrt(n), square = sqrt(n);
        if (found < 8)
            start[found] = (uint32_t)((square - floor(square)) * 4294967296.0);
        constant[found++] = (uint32_t)((cube - floor(cube)) * 4294967296.0);
    }
}

static uint32_t turn(uint32_t word, int by) {
    return word >> by | word << (32 - by);
}

static void block(uint32_t hash[8], const unsigned char *data) {
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)data[4 * i] << 24 | (uint32_t)data[4 * i + 1] << 16 | (uint32_t)data[4 * i + 2] << 8 | data[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(v, hash, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t one = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) +
                       constant[i] + w[i];
        uint32_t two = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += one;
        v[0] = one + two;
    }
    for (int i = 0; i < 8; i++)
        hash[i] += v[i];
}

/* Texts of up to 119 bytes: two blocks with the padding. */
static void sha256(const char *text, char out[65]) {
    unsigned char data[128] = {0};
    size_t length = strlen(text), blocks = length < 56 ? 1 : 2;
    uint32_t hash[8];
    memcpy(data, text, length);
    data[length] = 0x80;
    data[64 * blocks - 2] = (unsigned char)(length >> 5);
    data[64 * blocks - 1] = (unsigned char)(length << 3);
    memcpy(hash, start, sizeof hash);
    for (size_t i = 0; i < blocks; i++)
        block(hash, data + 64 * i);
    for (int i = 0; i < 8; i++)
        snprintf(out + 8 * i, 9, "%08x", (unsigned)hash[i]);
}

void exhibit_sha256(struct visit *visit) {
    char hex[65];
    compute_constants();
    CHECK(visit, constant[0] == 0x428A2F98u && constant[63] == 0xC67178F2u && start[0] == 0x6A09E667u);
    sha256("abc", hex);
    CHECK(visit, strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0);
    sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", hex);
    CHECK(visit, strcmp(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1") == 0);
}
