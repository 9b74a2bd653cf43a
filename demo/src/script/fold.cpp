// Simplifies a tree: what is constant is computed, what does nothing is left out.
#include "script.hpp"

#include "cabinet.h"

namespace script {
namespace {

const double *constant(const Tree &tree) {
    const auto *number = std::get_if<Number>(&tree->is);
    return number ? &number->value : nullptr;
}

bool is(const Tree &tree, double value) {
    const double *number = constant(tree);
    return number && *number == value;
}

Tree fold_binary(char sign, Tree left, Tree right) {
    if (constant(left) && constant(right))
        return make(Number{apply(sign, *constant(left), *constant(right))});
    if (((sign == '+' || sign == '-') && is(right, 0)) || ((sign == '*' || sign == '/' || sign == '^') && is(right, 1)))
        return left;
    if ((sign == '+' && is(left, 0)) || (sign == '*' && is(left, 1)))
        return right;
    if ((sign == '*' && (is(left, 0) || is(right, 0))) || (sign == '^' && is(right, 0)))
        return make(Number{sign == '^' ? 1.0 : 0.0});
    return make(Binary{sign, std::move(left), std::move(right)});
}

} // namespace

Tree fold(const Tree &tree) {
    return std::visit(Match{[&](const Number &) { return tree; }, [&](const Name &) { return tree; },
                            [](const Binary &b) { return fold_binary(b.sign, fold(b.left), fold(b.right)); },
                            [](const Call &c) {
                                const Tree argument = fold(c.argument);
                                return constant(argument) ? make(Number{call(c.function, *constant(argument))})
                                                          : make(Call{c.function, argument});
                            },
                            [](const Choice &c) {
                                const Tree condition = fold(c.condition);
                                if (constant(condition))
                                    return fold(*constant(condition) != 0 ? c.yes : c.no);
                                return make(Choice{condition, fold(c.yes), fold(c.no)});
                            },
                            [](const Assign &a) { return make(Assign{a.name, fold(a.value)}); },
                            [](const Sequence &s) {
                                Sequence folded;
                                for (const Tree &step : s.steps)
                                    folded.steps.push_back(fold(step));
                                return make(std::move(folded));
                            }},
                      tree->is);
}

} // namespace script

void exhibit_folding(visit *visit) {
    const auto folded = [](const char *source) { return script::print(script::fold(script::parse(source))); };
    CHECK(visit, folded("2 * 3 + 4") == "10");
    CHECK(visit, folded("x * 1 + 0 * y") == "x");
    CHECK(visit, folded("if 1 < 2 then a + sqrt(16) else boom(1)") == "(a + 4)");
    CHECK(visit, folded("a = 2 ^ 10; a - 0") == "a = 1024; a");
}
