// The tropical ring, where adding is taking the less and multiplying is adding: shortest ways by powers.
#include "algebra.hpp"

#include <algorithm>
#include <limits>

namespace {

constexpr int never = std::numeric_limits<int>::max();

struct Length {
    int value;
    friend Length operator+(Length a, Length b) { return {std::min(a.value, b.value)}; }
    friend Length operator*(Length a, Length b) {
        return {a.value == never || b.value == never ? never : a.value + b.value};
    }
    friend bool operator==(Length a, Length b) { return a.value == b.value; }
    friend std::ostream &operator<<(std::ostream &out, Length l) { return out << l.value; }
};

} // namespace

template <> struct algebra::Ring<Length> {
    static Length zero() { return {never}; }
    static Length one() { return {0}; }
};

void exhibit_tropical(visit *visit) {
    algebra::try_ring<Length>(visit, {{0}, {3}, {never}, {12}, {-2}});
    auto roads = algebra::Matrix<Length, 5>::one();
    const int known[][3] = {{0, 1, 4}, {0, 2, 1}, {2, 1, 2}, {1, 3, 5}, {2, 3, 8}, {3, 4, 3}};
    for (const auto &[from, to, length] : known)
        roads.cell[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)] = {length};
    const auto shortest = roads.pow(4);
    CHECK(visit, shortest.cell[0][1].value == 3 && shortest.cell[0][4].value == 11);
    CHECK(visit, shortest.cell[4][0].value == never);
}
