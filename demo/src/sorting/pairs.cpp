// Sorting of points: by rows, and by the angle at which they are seen.
#include "sorting.hpp"

#include <tuple>

namespace {

using Point = std::pair<int, int>;

/// The upper half plane first; within a half the sign of the cross product decides.
struct ByAngle {
    static bool upper(const Point &p) { return p.second > 0 || (p.second == 0 && p.first > 0); }
    bool operator()(const Point &a, const Point &b) const {
        if (upper(a) != upper(b))
            return upper(a);
        return a.first * b.second - a.second * b.first > 0;
    }
};

} // namespace

void exhibit_sort_pairs(visit *visit) {
    std::vector<Point> points;
    std::vector<std::tuple<int, char, long>> triples;
    for (int x = -8; x <= 8; ++x)
        for (int y = -8; y <= 8; ++y)
            if (x || y) {
                points.emplace_back(x, y);
                triples.emplace_back(x * y % 5, static_cast<char>('a' + (x & 3)), y);
            }
    sorting::try_all(visit, points);
    sorting::try_all(visit, points, ByAngle());
    sorting::try_all(visit, triples);
}
