// Quaternions turn things in space.
#include "algebra.hpp"

#include <cmath>

namespace {

struct Quaternion {
    double w, x, y, z;
    Quaternion(double w = 0, double x = 0, double y = 0, double z = 0) : w(w), x(x), y(y), z(z) {}
    friend Quaternion operator+(const Quaternion &a, const Quaternion &b) {
        return {a.w + b.w, a.x + b.x, a.y + b.y, a.z + b.z};
    }
    friend Quaternion operator*(const Quaternion &a, const Quaternion &b) {
        return {a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z, a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
                a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x, a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w};
    }
    friend bool operator==(const Quaternion &a, const Quaternion &b) {
        return a.w == b.w && a.x == b.x && a.y == b.y && a.z == b.z;
    }
    friend std::ostream &operator<<(std::ostream &out, const Quaternion &q) {
        return out << q.w << ',' << q.x << ',' << q.y << ',' << q.z;
    }
    Quaternion conjugate() const { return {w, -x, -y, -z}; }
    Quaternion turned_by(const Quaternion &q) const { return q * *this * q.conjugate(); }
};

double apart(const Quaternion &a, const Quaternion &b) {
    return std::fabs(a.w - b.w) + std::fabs(a.x - b.x) + std::fabs(a.y - b.y) + std::fabs(a.z - b.z);
}

} // namespace

void exhibit_quaternions(visit *visit) {
    const Quaternion i{0, 1}, j{0, 0, 1}, k{0, 0, 0, 1};
    algebra::try_ring<Quaternion>(visit, {0, 1, i, j, k, {1, 2, -3, 4}});
    CHECK(visit, i * j == k && j * i == k.conjugate() && i * j * k == Quaternion(-1));
    const double half = std::sqrt(0.5);
    const Quaternion quarter{half, 0, 0, half}; // 90 degrees about z
    CHECK(visit, apart(i.turned_by(quarter), j) < 1e-12);
    CHECK(visit, apart(i.turned_by(quarter * quarter), i.conjugate()) < 1e-12);
}
