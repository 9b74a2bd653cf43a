// The integers: Fibonacci by matrices, binomials by polynomials.
#include "algebra.hpp"

void exhibit_integers(visit *visit) {
    using namespace algebra;
    try_ring<long>(visit, {0, 1, -1, 2, 7, -12});
    const Matrix<long, 2> step{{{{1, 1}, {1, 0}}}};
    CHECK(visit, step.pow(90).cell[0][1] == 2880067194370816120L);
    Polynomial<long> row{{1}};
    for (int i = 0; i < 10; ++i)
        row = row * Polynomial<long>{{1, 1}};
    CHECK(visit, row.factor == std::vector<long>{1, 10, 45, 120, 210, 252, 210, 120, 45, 10, 1});
    CHECK(visit, row(1) == 1024);
}
