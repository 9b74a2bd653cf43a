// The field of 256 elements, in which the AES counts, and a code that mends one wrong bit.
#include "algebra.hpp"

#include <cstdint>

namespace {

struct Byte {
    std::uint8_t value;
    Byte(int v = 0) : value(static_cast<std::uint8_t>(v)) {}
    friend Byte operator+(Byte a, Byte b) { return a.value ^ b.value; }
    friend Byte operator*(Byte a, Byte b) {
        int product = 0;
        for (int left = a.value; b.value; b.value /= 2, left = left & 128 ? (left << 1 ^ 0x11B) : left << 1)
            product ^= b.value & 1 ? left : 0;
        return product;
    }
    friend bool operator==(Byte a, Byte b) { return a.value == b.value; }
    friend std::ostream &operator<<(std::ostream &out, Byte b) { return out << int(b.value); }
};

bool parity(unsigned bits) {
    return __builtin_popcount(bits) % 2;
}

/// Hamming's code of seven bits: positions 1, 2 and 4 make the parities even.
unsigned hamming(unsigned four) {
    unsigned word = (four & 1) << 2 | (four & 14) << 3;
    for (unsigned check : {1u, 2u, 4u}) {
        unsigned covered = 0;
        for (unsigned place = 1; place <= 7; ++place)
            covered |= place & check ? 1u << (place - 1) : 0;
        word |= parity(word & covered) ? 1u << (check - 1) : 0;
    }
    return word;
}

unsigned mend(unsigned word) {
    unsigned wrong = 0;
    for (unsigned place = 1; place <= 7; ++place)
        wrong ^= word >> (place - 1) & 1 ? place : 0;
    return wrong ? word ^ 1u << (wrong - 1) : word;
}

} // namespace

void exhibit_bits(visit *visit) {
    algebra::try_ring<Byte>(visit, {0, 1, 2, 3, 0x53, 0xCA, 0xFF});
    CHECK(visit, Byte(0x53) * Byte(0xCA) == Byte(1));
    for (unsigned four = 0; four < 16; ++four)
        for (unsigned bit = 0; bit < 7; ++bit)
            CHECK(visit, mend(hamming(four) ^ 1u << bit) == hamming(four));
}
