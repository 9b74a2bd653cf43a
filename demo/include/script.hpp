// A small language of expressions: x = 3; y = if x < 5 then x ^ 2 else 0; y + sin(0)
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace script {

struct Token {
    enum Kind { number, name, symbol, end } kind;
    std::string text;
    std::size_t place; // in the source, for messages
};

struct Node;
using Tree = std::shared_ptr<const Node>;

struct Number {
    double value;
};
struct Name {
    std::string text;
};
struct Binary {
    char sign; // + - * / ^ < = ('=' compares)
    Tree left, right;
};
struct Call {
    std::string function;
    Tree argument;
};
struct Choice {
    Tree condition, yes, no;
};
struct Assign {
    std::string name;
    Tree value;
};
struct Sequence {
    std::vector<Tree> steps;
};

struct Node {
    std::variant<Number, Name, Binary, Call, Choice, Assign, Sequence> is;
};

template <class T> Tree make(T value) {
    return std::make_shared<const Node>(Node{std::move(value)});
}

/// A visitor of a Node made of lambdas, one a kind.
template <class... Case> struct Match : Case... {
    using Case::operator()...;
};
template <class... Case> Match(Case...) -> Match<Case...>;

struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

using Scope = std::map<std::string, double>;

std::vector<Token> scan(const std::string &source);
Tree parse(const std::string &source);
double evaluate(const Tree &tree, Scope &scope);
double apply(char sign, double left, double right);
double call(const std::string &function, double argument);
std::string print(const Tree &tree);
/// What is known before the run is computed before the run.
Tree fold(const Tree &tree);
/// The derivative of an expression by a name.
Tree derive(const Tree &tree, const std::string &by);

/// One step of the stack machine.
struct Step {
    enum Code { push, load, store, drop, binary, function, jump, jump_unless } code;
    std::variant<std::monostate, double, std::string, char, std::size_t> with;
};
std::vector<Step> translate(const Tree &tree);
double run(const std::vector<Step> &program, Scope &scope);

} // namespace script
