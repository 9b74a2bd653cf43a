// Fractions: the harmonic series, and a continued fraction for the golden ratio.
#include "algebra.hpp"

#include <numeric>

namespace {

struct Fraction {
    long over, under;
    Fraction(long over = 0, long under = 1) : over(over), under(under) {
        const long common = std::gcd(over, under) * (under < 0 ? -1 : 1);
        this->over /= common;
        this->under /= common;
    }
    friend Fraction operator+(Fraction a, Fraction b) { return {a.over * b.under + b.over * a.under, a.under * b.under}; }
    friend Fraction operator*(Fraction a, Fraction b) { return {a.over * b.over, a.under * b.under}; }
    friend bool operator==(Fraction a, Fraction b) { return a.over == b.over && a.under == b.under; }
    friend std::ostream &operator<<(std::ostream &out, Fraction f) { return out << f.over << '/' << f.under; }
    Fraction inverse() const { return {under, over}; }
};

} // namespace

void exhibit_rationals(visit *visit) {
    algebra::try_ring<Fraction>(visit, {{1, 2}, {-1, 3}, {0}, {1}, {2}});
    Fraction sum;
    for (long n = 1; n <= 20; ++n)
        sum = sum + Fraction(1, n);
    CHECK(visit, sum == Fraction(55835135, 15519504));
    Fraction golden = 1;
    for (int i = 0; i < 20; ++i)
        golden = Fraction(1) + golden.inverse();
    CHECK(visit, golden == Fraction(17711, 10946));
}
