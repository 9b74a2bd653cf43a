// Sorting of rows of unequal length, and permutations counted by their order.
#include "sorting.hpp"

#include <deque>

void exhibit_sort_rows(visit *visit) {
    std::vector<std::vector<int>> rows;
    for (int i = 0; i < 120; ++i) {
        std::vector<int> row;
        for (int n = i; n > 0; n /= 3)
            row.push_back(n % 3);
        rows.push_back(row);
    }
    sorting::try_all(visit, rows);
    sorting::try_all(visit, rows, [](const auto &a, const auto &b) { return a.size() < b.size(); });

    std::deque<int> order{0, 1, 2, 3, 4, 5};
    int seen = 1, derangements = 0;
    for (; std::next_permutation(order.begin(), order.end()); ++seen) {
        bool fixed = false;
        for (int i = 0; i < 6; ++i)
            fixed |= order[static_cast<std::size_t>(i)] == i;
        derangements += !fixed;
    }
    CHECK(visit, seen == 720 && derangements == 265);
    sorting::by_merging(order.rbegin(), order.rend(), std::less<int>());
    CHECK(visit, std::is_sorted(order.begin(), order.end(), std::greater<int>()));
}
