// Tokens to a tree, by precedence climbing.
#include "script.hpp"

#include <cstdlib>

namespace script {
namespace {

class Parser {
  public:
    explicit Parser(const std::string &source) : tokens(scan(source)) {}

    Tree all() {
        Sequence sequence;
        do {
            if (peek().kind != Token::end)
                sequence.steps.push_back(statement());
        } while (accept(";"));
        if (peek().kind != Token::end)
            fail("an operator or ';'");
        return sequence.steps.size() == 1 ? sequence.steps.front() : make(std::move(sequence));
    }

  private:
    const Token &peek(std::size_t ahead = 0) const { return tokens[std::min(next + ahead, tokens.size() - 1)]; }

    bool accept(const std::string &text) {
        const bool here = peek().kind != Token::end && peek().text == text;
        next += here;
        return here;
    }

    void expect(const std::string &text) {
        if (!accept(text))
            fail("'" + text + "'");
    }

    [[noreturn]] void fail(const std::string &expected) const {
        throw Error("at " + std::to_string(peek().place) + ": expected " + expected);
    }

    Tree statement() {
        if (peek().kind == Token::name && peek(1).text == "=") {
            std::string name = peek().text;
            next += 2;
            return make(Assign{std::move(name), expression(0)});
        }
        return expression(0);
    }

    /// How strongly an operator binds; 0 for anything else.
    static int strength(const std::string &text) {
        static const std::map<std::string, int> table{{"<", 1}, {"==", 1}, {"+", 2}, {"-", 2},
                                                      {"*", 3}, {"/", 3},  {"^", 4}};
        const auto found = table.find(text);
        return found == table.end() ? 0 : found->second;
    }

    Tree expression(int above) {
        Tree left = operand();
        for (int binds; (binds = strength(peek().text)) > above;) {
            const char sign = tokens[next++].text[0];
            // A power binds its right side first: 2^3^2 is 2^9.
            Tree right = expression(sign == '^' ? binds - 1 : binds);
            left = make(Binary{sign, std::move(left), std::move(right)});
        }
        return left;
    }

    Tree operand() {
        const Token token = peek();
        if (accept("(")) {
            Tree inside = expression(0);
            expect(")");
            return inside;
        }
        if (accept("-"))
            return make(Binary{'-', make(Number{0}), expression(3)});
        if (accept("if")) {
            Tree condition = expression(0);
            expect("then");
            Tree yes = expression(0);
            expect("else");
            return make(Choice{std::move(condition), std::move(yes), expression(0)});
        }
        if (token.kind == Token::number) {
            ++next;
            return make(Number{std::strtod(token.text.c_str(), nullptr)});
        }
        if (token.kind != Token::name)
            fail("a number, a name or '('");
        ++next;
        if (!accept("("))
            return make(Name{token.text});
        Tree argument = expression(0);
        expect(")");
        return make(Call{token.text, std::move(argument)});
    }

    std::vector<Token> tokens;
    std::size_t next = 0;
};

} // namespace

Tree parse(const std::string &source) {
    return Parser(source).all();
}

} // namespace script
