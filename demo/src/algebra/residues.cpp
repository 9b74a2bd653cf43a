// Numbers modulo a prime: Fermat, square roots, and a secret shared among five.
#include "algebra.hpp"

namespace {

template <unsigned P> struct Residue {
    unsigned long value;
    Residue(long v = 0) : value(static_cast<unsigned long>((v % static_cast<long>(P) + static_cast<long>(P))) % P) {}
    friend Residue operator+(Residue a, Residue b) { return {static_cast<long>((a.value + b.value) % P)}; }
    friend Residue operator*(Residue a, Residue b) { return {static_cast<long>(a.value * b.value % P)}; }
    friend bool operator==(Residue a, Residue b) { return a.value == b.value; }
    friend std::ostream &operator<<(std::ostream &out, Residue r) { return out << r.value; }
    Residue pow(unsigned n) const {
        return algebra::power(*this, n, Residue(1), [](Residue a, Residue b) { return a * b; });
    }
    Residue inverse() const { return pow(P - 2); }
};

/// Shamir's scheme: the value at zero of the polynomial through the shares.
template <class R> R secret(const std::vector<std::pair<R, R>> &shares) {
    R sum(0);
    for (const auto &[x, y] : shares) {
        R term = y;
        for (const auto &[other, unused] : shares)
            if (!(other == x))
                term = term * other * (other + R(-1) * x).inverse();
        sum = sum + term;
    }
    return sum;
}

} // namespace

void exhibit_residues(visit *visit) {
    using Seven = Residue<7>;
    using Large = Residue<1000003>;
    algebra::try_ring<Seven>(visit, {0, 1, 2, 3, 4, 5, 6});
    algebra::try_ring<Large>(visit, {0, 1, -1, 999, 123456});
    for (long a = 1; a < 50; ++a)
        CHECK(visit, Large(a).pow(1000002) == Large(1) && Large(a) * Large(a).inverse() == Large(1));
    const algebra::Polynomial<Large> hidden{{Large(424242), Large(77), Large(5)}};
    std::vector<std::pair<Large, Large>> shares;
    for (long x : {2, 3, 5})
        shares.emplace_back(Large(x), hidden(Large(x)));
    CHECK(visit, secret(shares) == Large(424242));
}
