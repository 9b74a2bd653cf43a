// A tree to its value.
#include "script.hpp"

#include <cmath>

#include "cabinet.h"

namespace script {

double apply(char sign, double left, double right) {
    switch (sign) {
    case '+':
        return left + right;
    case '-':
        return left - right;
    case '*':
        return left * right;
    case '/':
        return left / right;
    case '^':
        return std::pow(left, right);
    case '<':
        return left < right;
    default:
        return left == right;
    }
}

double call(const std::string &function, double argument) {
    static const std::map<std::string, std::function<double(double)>> known{
        {"sin", [](double x) { return std::sin(x); }},   {"cos", [](double x) { return std::cos(x); }},
        {"exp", [](double x) { return std::exp(x); }},   {"log", [](double x) { return std::log(x); }},
        {"sqrt", [](double x) { return std::sqrt(x); }}, {"abs", [](double x) { return std::fabs(x); }}};
    const auto found = known.find(function);
    if (found == known.end())
        throw Error("no function " + function);
    return found->second(argument);
}

double evaluate(const Tree &tree, Scope &scope) {
    const auto value = [&](const Tree &part) { return evaluate(part, scope); };
    return std::visit(Match{[](const Number &n) { return n.value; },
                            [&](const Name &n) {
                                const auto found = scope.find(n.text);
                                if (found == scope.end())
                                    throw Error("no value for " + n.text);
                                return found->second;
                            },
                            [&](const Binary &b) {
                                const double left = value(b.left);
                                return apply(b.sign, left, value(b.right));
                            },
                            [&](const Call &c) { return call(c.function, value(c.argument)); },
                            [&](const Choice &c) { return value(value(c.condition) != 0 ? c.yes : c.no); },
                            [&](const Assign &a) { return scope[a.name] = value(a.value); },
                            [&](const Sequence &s) {
                                double last = 0;
                                for (const Tree &step : s.steps)
                                    last = value(step);
                                return last;
                            }},
                      tree->is);
}

} // namespace script

void exhibit_evaluator(visit *visit) {
    const auto value = [](const std::string &source) {
        script::Scope scope{{"pi", std::acos(-1.0)}};
        return script::evaluate(script::parse(source), scope);
    };
    CHECK(visit, value("1 + 2 * 3") == 7 && value("(1 + 2) * 3") == 9 && value("7 - 2 - 1") == 4);
    CHECK(visit, value("2 ^ 3 ^ 2") == 512 && value("-2 ^ 2") == -4);
    CHECK(visit, value("x = 3; y = if x < 5 then x ^ 2 else 0; y + 1") == 10);
    CHECK(visit, std::fabs(value("sin(pi / 6)") - 0.5) < 1e-12);
    for (const char *wrong : {"1 +", "(1", "if 1 then 2", "1 2", "nothing", "f(1)"}) {
        bool refused = false;
        try {
            value(wrong);
        } catch (const script::Error &) {
            refused = true;
        }
        CHECK(visit, refused);
    }
}
