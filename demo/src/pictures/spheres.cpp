// Rays, spheres and a light.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iterator>
#include <numeric>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "cabinet.h"

namespace {

using Vector = std::array<double, 3>;

template <class F> Vector each(const Vector &a, const Vector &b, F f) {
    Vector out{};
    std::transform(a.begin(), a.end(), b.begin(), out.begin(), f);
    return out;
}
Vector operator+(const Vector &a, const Vector &b) { return each(a, b, std::plus<double>()); }
Vector operator-(const Vector &a, const Vector &b) { return each(a, b, std::minus<double>()); }
Vector operator*(double f, const Vector &a) { return {f * a[0], f * a[1], f * a[2]}; }
double dot(const Vector &a, const Vector &b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }
Vector unit(const Vector &a) { return 1 / std::sqrt(dot(a, a)) * a; }

struct Sphere {
    Vector centre;
    double radius, mirror;
};

std::optional<double> hit(const Sphere &sphere, const Vector &from, const Vector &along) {
    const Vector to = from - sphere.centre;
    const double b = dot(to, along), inside = b * b - dot(to, to) + sphere.radius * sphere.radius;
    const double distance = -b - std::sqrt(std::max(inside, 0.0));
    return inside < 0 || distance < 1e-6 ? std::nullopt : std::optional(distance);
}

double brightness(const std::vector<Sphere> &world, const Vector &from, const Vector &along, int depth) {
    const Vector light = unit({-1, 1, -1});
    const Sphere *nearest = nullptr;
    double distance = 1e9;
    for (const Sphere &sphere : world)
        if (const auto at = hit(sphere, from, along); at && *at < distance) {
            distance = *at;
            nearest = &sphere;
        }
    if (!nearest)
        return 0.1 + 0.1 * std::max(along[1], 0.0);
    const Vector place = from + distance * along, normal = unit(place - nearest->centre);
    const bool shaded = std::any_of(world.begin(), world.end(), [&](const Sphere &s) { return hit(s, place, light).has_value(); });
    const double own = 0.05 + (shaded ? 0 : 0.9 * std::max(dot(normal, light), 0.0));
    if (depth == 0 || nearest->mirror == 0)
        return own;
    const Vector reflected = along - 2 * dot(along, normal) * normal;
    return (1 - nearest->mirror) * own + nearest->mirror * brightness(world, place, reflected, depth - 1);
}

} // namespace

void exhibit_spheres(visit *visit) {
    const std::vector<Sphere> world{{{0, 0, 5}, 1, 0.3}, {{1.2, 0.4, 4}, 0.4, 0.6}, {{0, -101, 5}, 100, 0.1}};
    std::ostringstream picture;
    for (int y = 10; y >= -10; --y) {
        for (int x = -20; x <= 20; ++x)
            picture << " .:-=+*#%@"[static_cast<int>(9.99 * std::clamp(brightness(world, {0, 0, 0}, unit({x / 20.0, y / 20.0, 2}), 3), 0.0, 1.0))];
        picture << '\n';
    }
    const std::string text = picture.str();
    CHECK(visit, text.size() == 21 * 42);
    CHECK(visit, std::count(text.begin(), text.end(), ' ') + std::count(text.begin(), text.end(), '.') > 200);
    CHECK(visit, std::any_of(text.begin(), text.end(), [](char c) { return c == '#' || c == '%' || c == '@'; }));
    CHECK(visit, std::fabs(hit(world[0], {0, 0, 0}, {0, 0, 1}).value_or(0) - 4) < 1e-12);
}
