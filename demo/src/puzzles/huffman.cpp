// Huffman's code: frequent letters get short words.
#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cabinet.h"

namespace {

struct Node {
    std::size_t weight;
    std::string letters; // all below, the least first: makes ties the same everywhere
    std::shared_ptr<Node> zero, one;
};
using Tree = std::shared_ptr<Node>;

Tree plant(const std::string &text) {
    std::map<char, std::size_t> count;
    for (char c : text)
        ++count[c];
    const auto later = [](const Tree &a, const Tree &b) { return std::tie(a->weight, a->letters) > std::tie(b->weight, b->letters); };
    std::priority_queue<Tree, std::vector<Tree>, decltype(later)> forest(later);
    for (const auto &[letter, weight] : count)
        forest.push(std::make_shared<Node>(Node{weight, std::string(1, letter), nullptr, nullptr}));
    while (forest.size() > 1) {
        const Tree a = forest.top();
        forest.pop();
        const Tree b = forest.top();
        forest.pop();
        forest.push(std::make_shared<Node>(Node{a->weight + b->weight, a->letters + b->letters, a, b}));
    }
    return forest.top();
}

void collect(const Tree &tree, const std::string &word, std::map<char, std::string> &book) {
    if (!tree->zero) {
        book[tree->letters[0]] = word;
        return;
    }
    collect(tree->zero, word + '0', book);
    collect(tree->one, word + '1', book);
}

std::string decode(const Tree &tree, const std::string &bits) {
    std::string text;
    const Node *here = tree.get();
    for (char bit : bits) {
        here = (bit == '0' ? here->zero : here->one).get();
        if (!here->zero) {
            text += here->letters;
            here = tree.get();
        }
    }
    return text;
}

} // namespace

void exhibit_huffman(visit *visit) {
    const std::string text = "she sells sea shells by the sea shore and the shells she sells are sea shells for sure";
    const Tree tree = plant(text);
    std::map<char, std::string> book;
    collect(tree, "", book);
    std::string bits;
    for (char c : text)
        bits += book[c];
    CHECK(visit, decode(tree, bits) == text);
    CHECK(visit, bits.size() < 4 * text.size());
    CHECK(visit, book['s'].size() <= book['f'].size());
    bool free_of_prefixes = true;
    for (const auto &[a, word] : book)
        for (const auto &[b, other] : book)
            free_of_prefixes = free_of_prefixes && (a == b || other.compare(0, word.size(), word) != 0);
    CHECK(visit, free_of_prefixes);
}
