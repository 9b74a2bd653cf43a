// What to take along: by table, by trying everything, and with a greedy hand.
#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <unordered_map>
#include <vector>

#include "cabinet.h"

namespace {

struct Thing {
    std::string name;
    int weight, worth;
};

int by_table(const std::vector<Thing> &things, int limit) {
    std::vector<int> best(static_cast<std::size_t>(limit) + 1);
    for (const Thing &thing : things)
        for (int room = limit; room >= thing.weight; --room)
            best[static_cast<std::size_t>(room)] =
                std::max(best[static_cast<std::size_t>(room)], best[static_cast<std::size_t>(room - thing.weight)] + thing.worth);
    return best.back();
}

int by_trying(const std::vector<Thing> &things, int limit) {
    std::unordered_map<long, int> memory;
    const std::function<int(std::size_t, int)> best = [&](std::size_t i, int room) -> int {
        if (i == things.size())
            return 0;
        const long key = static_cast<long>(i) * 10000 + room;
        if (const auto known = memory.find(key); known != memory.end())
            return known->second;
        int without = best(i + 1, room);
        if (things[i].weight <= room)
            without = std::max(without, best(i + 1, room - things[i].weight) + things[i].worth);
        return memory[key] = without;
    };
    return best(0, limit);
}

int greedily(std::vector<Thing> things, int limit) {
    std::sort(things.begin(), things.end(),
              [](const Thing &a, const Thing &b) { return a.worth * b.weight > b.worth * a.weight; });
    return std::accumulate(things.begin(), things.end(), 0, [&](int worth, const Thing &thing) {
        if (thing.weight > limit)
            return worth;
        limit -= thing.weight;
        return worth + thing.worth;
    });
}

} // namespace

void exhibit_knapsack(visit *visit) {
    const std::vector<Thing> things{{"map", 9, 150},    {"compass", 13, 35}, {"water", 153, 200}, {"sandwich", 50, 160},
                                    {"sugar", 15, 60},  {"tin", 68, 45},     {"banana", 27, 60},  {"apple", 39, 40},
                                    {"cheese", 23, 30}, {"camera", 32, 30},  {"umbrella", 73, 40}, {"socks", 4, 50}};
    for (int limit = 0; limit <= 500; limit += 25) {
        const int best = by_table(things, limit);
        CHECK(visit, best == by_trying(things, limit) && best >= greedily(things, limit));
    }
}
