// The cheapest net that joins all: Kruskal and Prim agree.
#include "graph.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

namespace {

struct Point {
    double x, y;
};

double between(const Point &a, const Point &b) {
    return std::hypot(a.x - b.x, a.y - b.y);
}

double kruskal(const std::vector<Point> &points) {
    std::vector<std::tuple<double, std::size_t, std::size_t>> edges;
    for (std::size_t i = 0; i < points.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            edges.emplace_back(between(points[i], points[j]), i, j);
    std::sort(edges.begin(), edges.end());
    std::vector<std::size_t> group(points.size());
    std::iota(group.begin(), group.end(), 0u);
    const std::function<std::size_t(std::size_t)> find = [&](std::size_t i) {
        return group[i] == i ? i : group[i] = find(group[i]);
    };
    double length = 0;
    for (const auto &[cost, i, j] : edges)
        if (find(i) != find(j)) {
            group[find(i)] = find(j);
            length += cost;
        }
    return length;
}

double prim(const std::vector<Point> &points) {
    std::vector<double> reach(points.size(), 1e9);
    std::set<std::size_t> outside;
    for (std::size_t i = 0; i < points.size(); ++i)
        outside.insert(i);
    reach[0] = 0;
    double length = 0;
    while (!outside.empty()) {
        const auto nearest = *std::min_element(outside.begin(), outside.end(), [&](auto a, auto b) { return reach[a] < reach[b]; });
        outside.erase(nearest);
        length += reach[nearest];
        for (auto i : outside)
            reach[i] = std::min(reach[i], between(points[i], points[nearest]));
    }
    return length;
}

} // namespace

void exhibit_fences(visit *visit) {
    std::vector<Point> points;
    for (int i = 0; i < 60; ++i)
        points.push_back({std::fmod(i * 37.7, 23.0), std::fmod(i * 11.3, 17.0)});
    CHECK(visit, std::fabs(kruskal(points) - prim(points)) < 1e-9);
    CHECK(visit, std::fabs(prim({{0, 0}, {0, 1}, {1, 1}, {5, 1}}) - 6) < 1e-12);
}
