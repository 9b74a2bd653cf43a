// Plants and curves that grow by rules (Lindenmayer), drawn by a turtle.
#include <complex>
#include <map>
#include <set>
#include <stack>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cabinet.h"

namespace {

std::string grow(std::string text, const std::unordered_map<char, std::string> &rules, int times) {
    for (; times > 0; --times) {
        std::string next;
        for (char c : text) {
            const auto rule = rules.find(c);
            next += rule == rules.end() ? std::string(1, c) : rule->second;
        }
        text = std::move(next);
    }
    return text;
}

struct Drawing {
    std::set<std::pair<int, int>> dots;
    std::pair<int, int> end;
};

/// Right angles only, so that every place is a whole number.
Drawing draw(const std::string &text) {
    using Place = std::complex<int>;
    Place here{0, 0}, ahead{1, 0};
    std::stack<std::pair<Place, Place>> kept;
    Drawing drawing;
    drawing.dots.insert({0, 0});
    for (char c : text) {
        if (c == 'F') {
            here += ahead;
            drawing.dots.insert({here.real(), here.imag()});
        } else if (c == '+' || c == '-') {
            ahead = c == '+' ? Place(-ahead.imag(), ahead.real()) : Place(ahead.imag(), -ahead.real());
        } else if (c == '[') {
            kept.emplace(here, ahead);
        } else if (c == ']') {
            std::tie(here, ahead) = kept.top();
            kept.pop();
        }
    }
    drawing.end = {here.real(), here.imag()};
    return drawing;
}

} // namespace

void exhibit_turtle(visit *visit) {
    // Hilbert's curve visits every dot of a square exactly once.
    const std::string hilbert = grow("A", {{'A', "+BF-AFA-FB+"}, {'B', "-AF+BFB+FA-"}}, 4);
    const Drawing square = draw(hilbert);
    CHECK(visit, square.dots.size() == 256 && (square.end == std::pair(15, 0) || square.end == std::pair(0, 15)));
    // The dragon never crosses itself.
    const std::string dragon = grow("FX", {{'X', "X+YF+"}, {'Y', "-FX-Y"}}, 8);
    std::map<char, int> letters;
    for (char c : dragon)
        ++letters[c];
    CHECK(visit, letters['F'] == 256 && draw(dragon).dots.size() < 257);
    const Drawing bush = draw(grow("F", {{'F', "F[+F]F[-F]F"}}, 3));
    CHECK(visit, bush.end == std::pair(27, 0));
}
