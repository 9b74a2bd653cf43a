// Matrices and polynomials over anything that can be added and multiplied.
#pragma once

#include <array>
#include <cstddef>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "cabinet.h"

namespace algebra {

/// Zero and one of a ring; a type that has others specialises it.
template <class R> struct Ring {
    static R zero() { return R(0); }
    static R one() { return R(1); }
};

/// x to the n-th, by squaring.
template <class T, class Multiply> T power(T x, unsigned n, T result, Multiply multiply) {
    for (; n; n /= 2, x = multiply(x, x))
        if (n & 1)
            result = multiply(result, x);
    return result;
}

template <class R, std::size_t N> struct Matrix {
    std::array<std::array<R, N>, N> cell;

    static Matrix zero() {
        Matrix m;
        for (auto &row : m.cell)
            row.fill(Ring<R>::zero());
        return m;
    }
    static Matrix one() {
        Matrix m = zero();
        for (std::size_t i = 0; i < N; ++i)
            m.cell[i][i] = Ring<R>::one();
        return m;
    }
    friend Matrix operator+(const Matrix &a, const Matrix &b) {
        Matrix m = a;
        for (std::size_t i = 0; i < N; ++i)
            for (std::size_t j = 0; j < N; ++j)
                m.cell[i][j] = a.cell[i][j] + b.cell[i][j];
        return m;
    }
    friend Matrix operator*(const Matrix &a, const Matrix &b) {
        Matrix m = zero();
        for (std::size_t i = 0; i < N; ++i)
            for (std::size_t j = 0; j < N; ++j)
                for (std::size_t k = 0; k < N; ++k)
                    m.cell[i][j] = m.cell[i][j] + a.cell[i][k] * b.cell[k][j];
        return m;
    }
    friend bool operator==(const Matrix &a, const Matrix &b) { return a.cell == b.cell; }

    Matrix pow(unsigned n) const {
        return power(*this, n, one(), [](const Matrix &a, const Matrix &b) { return a * b; });
    }
    std::string text() const {
        std::ostringstream out;
        for (const auto &row : cell) {
            for (const auto &value : row)
                out << value << ' ';
            out << ';';
        }
        return out.str();
    }
};

template <class R> struct Polynomial {
    std::vector<R> factor; // of x^i

    friend Polynomial operator+(const Polynomial &a, const Polynomial &b) {
        Polynomial sum = a.factor.size() < b.factor.size() ? b : a;
        const Polynomial &other = a.factor.size() < b.factor.size() ? a : b;
        for (std::size_t i = 0; i < other.factor.size(); ++i)
            sum.factor[i] = sum.factor[i] + other.factor[i];
        return sum;
    }
    friend Polynomial operator*(const Polynomial &a, const Polynomial &b) {
        Polynomial product{std::vector<R>(a.factor.size() + b.factor.size() - 1, Ring<R>::zero())};
        for (std::size_t i = 0; i < a.factor.size(); ++i)
            for (std::size_t j = 0; j < b.factor.size(); ++j)
                product.factor[i + j] = product.factor[i + j] + a.factor[i] * b.factor[j];
        return product;
    }
    /// Horner's rule.
    R operator()(const R &x) const {
        R value = Ring<R>::zero();
        for (std::size_t i = factor.size(); i-- > 0;)
            value = value * x + factor[i];
        return value;
    }
};

/// What must hold in every ring: `samples` are any of its elements.
template <class R> void try_ring(visit *visit, const std::vector<R> &samples) {
    const R zero = Ring<R>::zero(), one = Ring<R>::one();
    bool laws = true;
    for (const R &a : samples) {
        laws = laws && a + zero == a && a * one == a && one * a == a && a * zero == zero;
        for (const R &b : samples) {
            laws = laws && a + b == b + a;
            for (const R &c : samples)
                laws = laws && (a + b) + c == a + (b + c) && (a * b) * c == a * (b * c) && a * (b + c) == a * b + a * c;
        }
    }
    CHECK(visit, laws);

    Matrix<R, 4> m = Matrix<R, 4>::one();
    for (std::size_t i = 0; i < 16; ++i)
        m.cell[i / 4][i % 4] = m.cell[i / 4][i % 4] + samples[i % samples.size()];
    CHECK(visit, m.pow(5) == m * m * m * m * m);
    CHECK(visit, m * (m + Matrix<R, 4>::one()) == m * m + m);
    CHECK(visit, !m.text().empty());

    Matrix<R, 2> fibonacci{{{{one, one}, {one, zero}}}};
    R a = zero, b = one;
    for (int i = 0; i < 12; ++i) {
        R sum = a + b;
        a = b;
        b = sum;
    }
    CHECK(visit, fibonacci.pow(12).cell[0][1] == a);

    const Polynomial<R> p{{samples[0], one}}, q{{one, samples[1 % samples.size()], one}};
    const Polynomial<R> both = p * q, sum = p + q;
    for (const R &x : {zero, one})
        CHECK(visit, both(x) == p(x) * q(x) && sum(x) == p(x) + q(x));
}

} // namespace algebra
