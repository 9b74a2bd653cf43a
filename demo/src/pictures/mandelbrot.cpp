// The Mandelbrot set in characters.
#include <algorithm>
#include <complex>
#include <string>
#include <vector>

#include "cabinet.h"

namespace {

template <class Real> int escape(std::complex<Real> c, int limit) {
    std::complex<Real> z;
    for (int i = 0; i < limit; ++i) {
        z = z * z + c;
        if (std::norm(z) > 4)
            return i;
    }
    return limit;
}

template <class Real> std::vector<std::string> rows(int width, int height) {
    const std::string shades = " .,:;!=+*%#@";
    std::vector<std::string> picture;
    for (int y = 0; y < height; ++y) {
        std::string row;
        for (int x = 0; x < width; ++x) {
            // Rows above and below the axis are computed from the same number, so the picture is symmetric.
            const Real im = Real(std::abs(2 * y - (height - 1))) / Real(height - 1) * Real(1.1);
            const Real re = Real(-2.1) + Real(2.9) * Real(x) / Real(width - 1);
            const int steps = escape(std::complex<Real>(re, im), 48);
            row += shades[std::min(static_cast<std::size_t>(steps) / 3, shades.size() - 1)];
        }
        picture.push_back(row);
    }
    return picture;
}

} // namespace

void mandelbrot_picture(char *out, int width, int height) {
    for (const std::string &row : rows<double>(width, height)) {
        out = std::copy(row.begin(), row.end(), out);
        *out++ = '\n';
    }
    *out = '\0';
}

void exhibit_mandelbrot(visit *visit) {
    CHECK(visit, escape(std::complex<double>(0, 0), 100) == 100 && escape(std::complex<double>(-1, 0), 100) == 100);
    CHECK(visit, escape(std::complex<float>(1, 1), 100) < 3);
    auto picture = rows<long double>(40, 21);
    CHECK(visit, std::equal(picture.begin(), picture.end(), picture.rbegin()));
}
