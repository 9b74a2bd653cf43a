// How much water reaches the sea, by dams in whole and in real units.
#include "graph.hpp"

#include <algorithm>

void exhibit_rivers(visit *visit) {
    graphs::Graph<char, int> rivers{{'s', {{'a', 16}, {'b', 13}}}, {'a', {{'b', 10}, {'c', 12}}},
                                    {'b', {{'a', 4}, {'d', 14}}},  {'c', {{'b', 9}, {'t', 20}}},
                                    {'d', {{'c', 7}, {'t', 4}}}};
    CHECK(visit, graphs::flow(rivers, 's', 't') == 23);
    rivers['d']['t'] = 0;
    CHECK(visit, graphs::flow(rivers, 's', 't') == 19);

    graphs::Graph<int, double> canal;
    for (int i = 0; i < 12; ++i)
        canal[i][i + 1] = 3.5 + i % 4;
    canal[0][6] = 1.25;
    CHECK(visit, graphs::flow(canal, 0, 12) == 3.5);
    CHECK(visit, graphs::flow(canal, 0, 6) == 4.75);
}
