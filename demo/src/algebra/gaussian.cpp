// Gaussian integers: which primes are sums of two squares.
#include "algebra.hpp"

#include <map>
#include <set>

namespace {

struct Gauss {
    long re, im;
    Gauss(long re = 0, long im = 0) : re(re), im(im) {}
    friend Gauss operator+(Gauss a, Gauss b) { return {a.re + b.re, a.im + b.im}; }
    friend Gauss operator*(Gauss a, Gauss b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
    friend bool operator==(Gauss a, Gauss b) { return a.re == b.re && a.im == b.im; }
    friend std::ostream &operator<<(std::ostream &out, Gauss g) { return out << g.re << '+' << g.im << 'i'; }
    long norm() const { return re * re + im * im; }
};

bool is_prime(long n) {
    for (long d = 2; d * d <= n; ++d)
        if (n % d == 0)
            return false;
    return n > 1;
}

} // namespace

void exhibit_gaussian(visit *visit) {
    algebra::try_ring<Gauss>(visit, {0, 1, {0, 1}, {2, 1}, {-3, 5}});
    std::map<long, std::set<std::pair<long, long>>> squares;
    for (long a = 1; a < 32; ++a)
        for (long b = a; b < 32; ++b)
            squares[Gauss(a, b).norm()].insert({a, b});
    bool fermat = true;
    for (long p = 3; p < 1000; ++p)
        if (is_prime(p))
            fermat = fermat && squares[p].size() == (p % 4 == 1 ? 1u : 0u);
    CHECK(visit, fermat);
    CHECK(visit, squares[65] == std::set<std::pair<long, long>>{{1, 8}, {4, 7}});
}
