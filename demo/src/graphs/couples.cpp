// Gale and Shapley: couples of whom no two would rather leave for each other.
#include "graph.hpp"

#include <algorithm>
#include <deque>

#include "dice.h"

namespace {

using Wishes = std::vector<std::vector<std::size_t>>;

Wishes any_wishes(std::size_t count, dice &dice) {
    Wishes wishes(count);
    for (auto &list : wishes)
        for (std::size_t i = 0; i < count; ++i)
            list.insert(list.begin() + dice_roll(&dice, static_cast<unsigned>(i + 1)), i);
    return wishes;
}

std::size_t rank(const std::vector<std::size_t> &list, std::size_t who) {
    return static_cast<std::size_t>(std::find(list.begin(), list.end(), who) - list.begin());
}

std::map<std::size_t, std::size_t> couples(const Wishes &asking, const Wishes &asked) {
    std::map<std::size_t, std::size_t> partner; // of the asked
    std::vector<std::size_t> tried(asking.size());
    std::deque<std::size_t> single;
    for (std::size_t i = 0; i < asking.size(); ++i)
        single.push_back(i);
    while (!single.empty()) {
        const auto suitor = single.front();
        single.pop_front();
        const auto dear = asking[suitor][tried[suitor]++];
        const auto [now, accepted] = partner.emplace(dear, suitor);
        if (accepted)
            continue;
        if (rank(asked[dear], suitor) < rank(asked[dear], now->second)) {
            single.push_back(now->second);
            now->second = suitor;
        } else {
            single.push_back(suitor);
        }
    }
    return partner;
}

} // namespace

void exhibit_couples(visit *visit) {
    dice dice = dice_new(1962);
    for (int round = 0; round < 10; ++round) {
        const Wishes asking = any_wishes(20, dice), asked = any_wishes(20, dice);
        const auto partner = couples(asking, asked);
        bool stable = partner.size() == 20;
        for (const auto &[she, he] : partner)
            for (const auto &[other, his] : partner)
                stable = stable && !(rank(asking[he], other) < rank(asking[he], she) &&
                                     rank(asked[other], he) < rank(asked[other], his));
        CHECK(visit, stable);
    }
}
