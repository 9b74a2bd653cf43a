// Ways to sort, for any random-access range and order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <iterator>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "cabinet.h"
#include "dice.h"

namespace sorting {

template <class It, class Less> void by_insertion(It first, It last, Less less) {
    for (It i = first; i != last; ++i)
        std::rotate(std::upper_bound(first, i, *i, less), i, std::next(i));
}

template <class It, class Less> void by_merging(It first, It last, Less less) {
    if (last - first < 2)
        return;
    It middle = first + (last - first) / 2;
    by_merging(first, middle, less);
    by_merging(middle, last, less);
    std::inplace_merge(first, middle, last, less);
}

template <class It, class Less> void by_parting(It first, It last, Less less) {
    if (last - first < 2)
        return;
    auto pivot = *(first + (last - first) / 2);
    It low = std::partition(first, last, [&](const auto &v) { return less(v, pivot); });
    It high = std::partition(low, last, [&](const auto &v) { return !less(pivot, v); });
    by_parting(first, low, less);
    by_parting(high, last, less);
}

template <class It, class Less> void by_heap(It first, It last, Less less) {
    std::make_heap(first, last, less);
    std::sort_heap(first, last, less);
}

template <class It, class Less> void by_gaps(It first, It last, Less less) {
    for (auto gap = (last - first) / 2; gap > 0; gap /= 2)
        for (auto i = gap; i < last - first; ++i)
            for (auto j = i; j >= gap && less(first[j], first[j - gap]); j -= gap)
                std::iter_swap(first + j, first + (j - gap));
}

template <class It, class Less> void by_tree(It first, It last, Less less) {
    using Value = typename std::iterator_traits<It>::value_type;
    std::map<Value, std::size_t, Less> tree(less);
    std::for_each(first, last, [&](const Value &v) { ++tree[v]; });
    for (const auto &[value, count] : tree)
        first = std::fill_n(first, count, value);
}

template <class Value> void shuffle(std::vector<Value> &values, dice &dice) {
    for (std::size_t i = values.size(); i > 1; --i)
        std::swap(values[i - 1], values[dice_roll(&dice, static_cast<unsigned>(i))]);
}

/// Every way must give what the standard library gives.
template <class Value, class Less = std::less<Value>>
void try_all(visit *visit, std::vector<Value> values, Less less = {}) {
    dice dice = dice_new(values.size());
    std::vector<Value> sorted = values;
    std::stable_sort(sorted.begin(), sorted.end(), less);
    const auto equal = [&](const Value &a, const Value &b) { return !less(a, b) && !less(b, a); };
    const auto attempt = [&](auto sort) {
        std::vector<Value> copy = values;
        shuffle(copy, dice);
        sort(copy.begin(), copy.end(), less);
        CHECK(visit, std::equal(copy.begin(), copy.end(), sorted.begin(), sorted.end(), equal));
    };
    attempt([](auto... arguments) { by_insertion(arguments...); });
    attempt([](auto... arguments) { by_merging(arguments...); });
    attempt([](auto... arguments) { by_parting(arguments...); });
    attempt([](auto... arguments) { by_heap(arguments...); });
    attempt([](auto... arguments) { by_gaps(arguments...); });
    attempt([](auto... arguments) { by_tree(arguments...); });
}

} // namespace sorting
