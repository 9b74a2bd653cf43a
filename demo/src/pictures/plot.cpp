// Functions plotted in characters, and a line laid through points.
#include <algorithm>
#include <cmath>
#include <functional>
#include <iomanip>
#include <map>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "cabinet.h"

namespace {

std::vector<std::string> plot(const std::function<double(double)> &f, double from, double to, int width, int height) {
    std::vector<double> values;
    for (int x = 0; x < width; ++x)
        values.push_back(f(from + (to - from) * x / (width - 1)));
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const double least = *low, range = *high - *low;
    std::vector<std::string> rows(static_cast<std::size_t>(height), std::string(static_cast<std::size_t>(width), ' '));
    for (std::size_t x = 0; x < values.size(); ++x)
        rows[static_cast<std::size_t>(std::lround((1 - (values[x] - least) / range) * (height - 1)))][x] = '*';
    return rows;
}

struct Line {
    double slope, offset;
};

Line fit(const std::map<double, double> &points) {
    const double n = static_cast<double>(points.size());
    double x = 0, y = 0, xx = 0, xy = 0;
    for (const auto &[px, py] : points) {
        x += px;
        y += py;
        xx += px * px;
        xy += px * py;
    }
    const double slope = (n * xy - x * y) / (n * xx - x * x);
    return {slope, (y - slope * x) / n};
}

} // namespace

void exhibit_plot(visit *visit) {
    const auto rows = plot([](double x) { return std::sin(x); }, 0, 2 * std::acos(-1.0), 61, 11);
    CHECK(visit, rows.front()[15] == '*' && rows.back()[45] == '*' && rows[5][0] == '*');
    CHECK(visit, std::all_of(rows.begin(), rows.end(), [](const std::string &row) { return row.size() == 61; }));
    std::map<double, double> points;
    for (int i = 0; i < 10; ++i)
        points[i] = 3 * i - 2 + (i % 2 ? 0.5 : -0.5);
    const Line line = fit(points);
    std::ostringstream text;
    text << std::fixed << std::setprecision(1) << line.slope << ' ' << line.offset;
    CHECK(visit, text.str() == "3.0 -2.1");
}
