// Source to tokens.
#include "script.hpp"

#include <algorithm>
#include <cctype>

namespace script {

std::vector<Token> scan(const std::string &source) {
    std::vector<Token> tokens;
    const auto take = [&](std::size_t from, auto belongs) {
        const auto last = std::find_if_not(source.begin() + static_cast<std::ptrdiff_t>(from), source.end(),
                                           [&](char c) { return belongs(static_cast<unsigned char>(c)); });
        return std::string(source.begin() + static_cast<std::ptrdiff_t>(from), last);
    };
    for (std::size_t i = 0; i < source.size();) {
        const auto c = static_cast<unsigned char>(source[i]);
        Token token{Token::symbol, std::string(1, source[i]), i};
        if (std::isspace(c)) {
            ++i;
            continue;
        }
        if (std::isdigit(c))
            token = {Token::number, take(i, [](int d) { return std::isdigit(d) || d == '.'; }), i};
        else if (std::isalpha(c))
            token = {Token::name, take(i, [](int d) { return std::isalnum(d); }), i};
        else if (source.compare(i, 2, "==") == 0)
            token.text = "==";
        i += token.text.size();
        tokens.push_back(std::move(token));
    }
    tokens.push_back({Token::end, "", source.size()});
    return tokens;
}

} // namespace script
