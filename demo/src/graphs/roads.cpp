// Ways between towns, in whole and in fractional miles.
#include "graph.hpp"

#include <string>

namespace {

template <class Weight> graphs::Graph<std::string, Weight> country(Weight unit) {
    graphs::Graph<std::string, Weight> roads;
    const auto road = [&](const std::string &a, const std::string &b, int length) {
        roads[a][b] = roads[b][a] = unit * static_cast<Weight>(length);
    };
    road("Ankh", "Bree", 7);
    road("Ankh", "Combray", 9);
    road("Ankh", "Fawlty", 14);
    road("Bree", "Combray", 10);
    road("Bree", "Dunwich", 15);
    road("Combray", "Dunwich", 11);
    road("Combray", "Fawlty", 2);
    road("Dunwich", "Emerald", 6);
    road("Emerald", "Fawlty", 9);
    return roads;
}

} // namespace

void exhibit_roads(visit *visit) {
    const auto whole = graphs::distances(country<int>(1), std::string("Ankh"));
    CHECK(visit, whole.at("Emerald") == 20 && whole.at("Fawlty") == 11 && whole.at("Dunwich") == 20);
    const auto half = graphs::distances(country<double>(0.5), std::string("Emerald"));
    CHECK(visit, half.at("Ankh") == 10.0 && half.size() == 6);
}
