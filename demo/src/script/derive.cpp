// Derivatives by the rules learnt at school, compared with small differences.
#include "script.hpp"

#include <cmath>

#include "cabinet.h"

namespace script {
namespace {

Tree binary(char sign, Tree left, Tree right) {
    return make(Binary{sign, std::move(left), std::move(right)});
}

Tree number(double value) {
    return make(Number{value});
}

Tree of_binary(const Binary &b, const std::string &by) {
    const Tree left = derive(b.left, by), right = derive(b.right, by);
    switch (b.sign) {
    case '+':
    case '-':
        return binary(b.sign, left, right);
    case '*':
        return binary('+', binary('*', left, b.right), binary('*', b.left, right));
    case '/':
        return binary('/', binary('-', binary('*', left, b.right), binary('*', b.left, right)),
                      binary('^', b.right, number(2)));
    case '^': // the exponent is a constant
        return binary('*', binary('*', b.right, binary('^', b.left, binary('-', b.right, number(1)))), left);
    default:
        throw Error("a comparison has no derivative");
    }
}

Tree of_call(const Call &c, const std::string &by) {
    const Tree &x = c.argument;
    const std::map<std::string, std::function<Tree()>> outer{
        {"sin", [&] { return make(Call{"cos", x}); }},
        {"cos", [&] { return binary('-', number(0), make(Call{"sin", x})); }},
        {"exp", [&] { return make(Call{"exp", x}); }},
        {"log", [&] { return binary('/', number(1), x); }},
        {"sqrt", [&] { return binary('/', number(0.5), make(Call{"sqrt", x})); }}};
    const auto found = outer.find(c.function);
    if (found == outer.end())
        throw Error("no derivative of " + c.function);
    return binary('*', found->second(), derive(x, by));
}

} // namespace

Tree derive(const Tree &tree, const std::string &by) {
    return std::visit(Match{[](const Number &) { return number(0); },
                            [&](const Name &n) { return number(n.text == by); },
                            [&](const Binary &b) { return of_binary(b, by); },
                            [&](const Call &c) { return of_call(c, by); },
                            [&](const Choice &c) { return make(Choice{c.condition, derive(c.yes, by), derive(c.no, by)}); },
                            [](const Assign &) -> Tree { throw Error("no derivative of an assignment"); },
                            [](const Sequence &) -> Tree { throw Error("no derivative of a sequence"); }},
                      tree->is);
}

} // namespace script

void exhibit_derivative(visit *visit) {
    const auto derived = [](const char *source) { return script::fold(script::derive(script::parse(source), "x")); };
    CHECK(visit, script::print(derived("x ^ 2")) == "(2 * x)");
    CHECK(visit, script::print(derived("3 * x + y")) == "3");
    for (const char *source : {"sin(x) * exp(x)", "log(x) / x", "sqrt(x ^ 3 + 1)", "cos(2 * x) ^ 3", "if x < 2 then x ^ 4 else 1"}) {
        const script::Tree tree = script::parse(source), slope = derived(source);
        const double at = 1.3, step = 1e-5;
        script::Scope left{{"x", at - step}}, right{{"x", at + step}}, middle{{"x", at}};
        const double rise = script::evaluate(tree, right) - script::evaluate(tree, left);
        CHECK(visit, std::fabs(rise / (2 * step) - script::evaluate(slope, middle)) < 1e-6);
    }
}
