// Dual numbers carry their derivative along; Newton's method for nothing.
#include "algebra.hpp"

#include <cmath>

namespace {

struct Dual {
    double value, slope;
    Dual(double value = 0, double slope = 0) : value(value), slope(slope) {}
    friend Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.slope + b.slope}; }
    friend Dual operator*(Dual a, Dual b) { return {a.value * b.value, a.value * b.slope + a.slope * b.value}; }
    friend bool operator==(Dual a, Dual b) { return a.value == b.value && a.slope == b.slope; }
    friend std::ostream &operator<<(std::ostream &out, Dual d) { return out << d.value << "+e" << d.slope; }
};

template <class F> double root(F f, double x) {
    for (int i = 0; i < 20; ++i) {
        const Dual y = f(Dual(x, 1));
        x -= y.value / y.slope;
    }
    return x;
}

} // namespace

void exhibit_duals(visit *visit) {
    algebra::try_ring<Dual>(visit, {{0}, {1}, {2, 1}, {-3, 4}, {5, -1}});
    const algebra::Polynomial<Dual> cubic{{1, -2, 0, 1}}; // 1 - 2x + x^3
    const Dual at = cubic(Dual(3, 1));
    CHECK(visit, at.value == 22 && at.slope == 25);
    CHECK(visit, std::fabs(root([](Dual x) { return x * x + Dual(-2); }, 1) - std::sqrt(2.0)) < 1e-12);
    CHECK(visit, std::fabs(root(cubic, 0.5) - (std::sqrt(5.0) - 1) / 2) < 1e-12);
}
