// Complex numbers: the Fourier transform, fast and slow.
#include "algebra.hpp"

#include <cmath>
#include <complex>

namespace {

using Complex = std::complex<double>;
const double turn = 2 * std::acos(-1.0);

std::vector<Complex> slow(const std::vector<Complex> &in) {
    std::vector<Complex> out(in.size());
    for (std::size_t k = 0; k < in.size(); ++k)
        for (std::size_t n = 0; n < in.size(); ++n)
            out[k] += in[n] * std::polar(1.0, -turn * static_cast<double>(k * n) / static_cast<double>(in.size()));
    return out;
}

std::vector<Complex> fast(const std::vector<Complex> &in) {
    const std::size_t size = in.size();
    if (size == 1)
        return in;
    std::vector<Complex> even, odd, out(size);
    for (std::size_t i = 0; i < size; ++i)
        (i % 2 ? odd : even).push_back(in[i]);
    even = fast(even);
    odd = fast(odd);
    for (std::size_t k = 0; k < size / 2; ++k) {
        const Complex t = std::polar(1.0, -turn * static_cast<double>(k) / static_cast<double>(size)) * odd[k];
        out[k] = even[k] + t;
        out[k + size / 2] = even[k] - t;
    }
    return out;
}

} // namespace

void exhibit_complexes(visit *visit) {
    // Whole parts, so that nothing is rounded.
    algebra::try_ring<Complex>(visit, {{0, 0}, {1, 0}, {0, 1}, {2, -3}, {-1, 4}});
    std::vector<Complex> wave(64);
    for (std::size_t i = 0; i < wave.size(); ++i)
        wave[i] = std::cos(turn * 5 * static_cast<double>(i) / 64) + 0.5 * std::sin(turn * 9 * static_cast<double>(i) / 64);
    const auto one = slow(wave), other = fast(wave);
    double apart = 0;
    for (std::size_t i = 0; i < one.size(); ++i)
        apart = std::max(apart, std::abs(one[i] - other[i]));
    CHECK(visit, apart < 1e-9);
    CHECK(visit, std::abs(other[5] - Complex(32, 0)) < 1e-9 && std::abs(other[9] - Complex(0, -16)) < 1e-9);
}
