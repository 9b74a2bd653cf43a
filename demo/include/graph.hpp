// Graphs whose nodes are values of any ordered type.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cabinet.h"

namespace graphs {

template <class Node, class Weight> using Graph = std::map<Node, std::map<Node, Weight>>;

/// Dijkstra's algorithm: the least distance to every node that can be reached.
template <class Node, class Weight>
std::map<Node, Weight> distances(const Graph<Node, Weight> &graph, const Node &start) {
    using Entry = std::pair<Weight, Node>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<Entry>> next;
    std::map<Node, Weight> known;
    next.push({Weight{}, start});
    while (!next.empty()) {
        const auto [distance, node] = next.top();
        next.pop();
        if (!known.emplace(node, distance).second)
            continue;
        if (const auto edges = graph.find(node); edges != graph.end())
            for (const auto &[to, length] : edges->second)
                if (!known.count(to))
                    next.push({distance + length, to});
    }
    return known;
}

/// Everything in an order in which no edge points back; nothing if there is a circle.
template <class Node, class Weight> std::optional<std::vector<Node>> in_order(const Graph<Node, Weight> &graph) {
    std::map<Node, int> incoming;
    for (const auto &[from, edges] : graph) {
        incoming[from];
        for (const auto &edge : edges)
            ++incoming[edge.first];
    }
    std::set<Node> ready;
    for (const auto &[node, count] : incoming)
        if (count == 0)
            ready.insert(node);
    std::vector<Node> order;
    while (!ready.empty()) {
        const Node node = ready.extract(ready.begin()).value();
        order.push_back(node);
        if (const auto edges = graph.find(node); edges != graph.end())
            for (const auto &edge : edges->second)
                if (--incoming[edge.first] == 0)
                    ready.insert(edge.first);
    }
    if (order.size() != incoming.size())
        return std::nullopt;
    return order;
}

/// The most that flows from source to sink (Edmonds and Karp).
template <class Node, class Weight> Weight flow(Graph<Node, Weight> rest, const Node &source, const Node &sink) {
    Weight total{};
    for (;;) {
        std::map<Node, Node> from{{source, source}};
        std::queue<Node> next;
        next.push(source);
        while (!next.empty() && !from.count(sink)) {
            const Node node = next.front();
            next.pop();
            for (const auto &[to, capacity] : rest[node])
                if (Weight{} < capacity && from.emplace(to, node).second)
                    next.push(to);
        }
        if (!from.count(sink))
            return total;
        Weight least = rest[from[sink]][sink];
        for (Node node = sink; node != source; node = from[node])
            least = std::min(least, rest[from[node]][node]);
        for (Node node = sink; node != source; node = from[node]) {
            rest[from[node]][node] = rest[from[node]][node] - least;
            rest[node][from[node]] = rest[node][from[node]] + least;
        }
        total = total + least;
    }
}

} // namespace graphs
