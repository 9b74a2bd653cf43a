// Knights: the fewest moves between squares, and a tour of the whole board by Warnsdorff's rule.
#include "graph.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace {

using Square = std::pair<int, int>;

std::vector<Square> moves(const Square &from, int side) {
    std::vector<Square> to;
    for (int dx : {-2, -1, 1, 2})
        for (int dy : {dx % 2 ? -2 : -1, dx % 2 ? 2 : 1}) {
            const Square square{from.first + dx, from.second + dy};
            if (std::min(square.first, square.second) >= 0 && std::max(square.first, square.second) < side)
                to.push_back(square);
        }
    return to;
}

std::size_t tour(int side) {
    std::set<Square> seen;
    std::optional<Square> here = Square{0, 0};
    const auto open = [&](const Square &from) {
        const auto all = moves(from, side);
        return std::count_if(all.begin(), all.end(), [&](const Square &s) { return !seen.count(s); });
    };
    while (here) {
        seen.insert(*here);
        std::optional<Square> best;
        for (const Square &next : moves(*here, side))
            if (!seen.count(next) && (!best || open(next) < open(*best)))
                best = next;
        here = best;
    }
    return seen.size();
}

} // namespace

void exhibit_knights(visit *visit) {
    graphs::Graph<Square, int> board;
    for (int x = 0; x < 8; ++x)
        for (int y = 0; y < 8; ++y)
            for (const Square &to : moves({x, y}, 8))
                board[{x, y}][to] = 1;
    const auto far = graphs::distances(board, Square{0, 0});
    CHECK(visit, far.size() == 64 && far.at({7, 7}) == 6 && far.at({1, 1}) == 4);
    CHECK(visit, tour(5) == 25);
    CHECK(visit, moves({3, 3}, 8).size() == 8 && moves({0, 0}, 8).size() == 2);
}
