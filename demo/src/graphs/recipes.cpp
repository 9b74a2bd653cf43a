// What must be done first: steps of a recipe, and a recipe that cannot be cooked.
#include "graph.hpp"

#include <algorithm>
#include <string>

void exhibit_recipes(visit *visit) {
    graphs::Graph<std::string, bool> steps;
    const auto before = [&](const char *first, const char *then) { steps[first][then] = true; };
    before("buy flour", "make dough");
    before("buy yeast", "make dough");
    before("make dough", "let it rise");
    before("let it rise", "shape loaves");
    before("heat oven", "bake");
    before("shape loaves", "bake");
    before("bake", "eat");
    const auto order = graphs::in_order(steps);
    CHECK(visit, order && order->size() == 8 && order->back() == "eat");
    bool follows = order.has_value();
    const auto place = [&](const std::string &step) { return std::find(order->begin(), order->end(), step); };
    for (const auto &[first, then] : steps)
        for (const auto &edge : then)
            follows = follows && place(first) < place(edge.first);
    CHECK(visit, follows);
    before("eat", "buy flour");
    CHECK(visit, !graphs::in_order(steps));
}
