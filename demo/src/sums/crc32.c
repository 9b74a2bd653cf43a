/* The CRC of Ethernet and zip, with a table and bit by bit. */
#include "cabinet.h"

#include <stdint.h>
#include <string.h>

static uint32_t one_byte(uint32_t crc) {
    for (int bit = 0; bit < 8; bit++)
        crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    return crc;
}

static uint32_t by_bits(const char *data, size_t length) {
    uint32_t crc = ~0u;
    while (length--)
        crc = one_byte(crc ^ (unsigned char)*data++);
    return ~crc;
}

static uint32_t by_table(const char *data, size_t length) {
    uint32_t table[256], crc = ~0u;
    for (uint32_t i = 0; i < 256; i++)
        table[i] = one_byte(i);
    while (length--)
        crc = table[(crc ^ (unsigned char)*data++) & 0xFF] ^ crc >> 8;
    return ~crc;
}

void exhibit_crc32(struct visit *visit) {
    static const char text[] = "The quick brown fox jumps over the lazy dog";
    CHECK(visit, by_table("123456789", 9) == 0xCBF43926u);
    CHECK(visit, by_bits(text, strlen(text)) == 0x414FA339u);
    for (size_t length = 0; length < sizeof text; length++)
        CHECK(visit, by_bits(text, length) == by_table(text, length));
}
