// Sorting of real numbers, by value and by distance.
#include "sorting.hpp"

#include <cmath>

void exhibit_sort_reals(visit *visit) {
    std::vector<double> values;
    for (int i = 1; i <= 250; ++i)
        values.push_back(std::sin(i) * i);
    sorting::try_all(visit, values);
    sorting::try_all(visit, values, [](double a, double b) { return std::fabs(a) < std::fabs(b); });
    sorting::try_all(visit, std::vector<float>(values.begin(), values.end()), std::greater<float>());
}
