// Random programs: tree, folded tree and machine must agree on them.
#include "script.hpp"

#include <cmath>

#include "cabinet.h"
#include "dice.h"

namespace {

std::string any_expression(dice &dice, int depth) {
    const auto inner = [&] { return any_expression(dice, depth - 1); };
    switch (depth ? dice_roll(&dice, 6) : dice_roll(&dice, 2)) {
    case 0:
        return std::to_string(dice_roll(&dice, 10));
    case 1:
        return dice_roll(&dice, 2) ? "x" : "y";
    case 2:
        return "(" + inner() + ")";
    case 3:
        return "if " + inner() + " < " + inner() + " then " + inner() + " else (" + inner() + ")";
    case 4:
        return "abs(" + inner() + ")";
    default: {
        const std::string left = "(" + inner() + ")";
        return left + " " + "+-*"[dice_roll(&dice, 3)] + " (" + inner() + ")";
    }
    }
}

} // namespace

void exhibit_programs(visit *visit) {
    dice dice = dice_new(2026);
    for (int i = 0; i < 60; ++i) {
        const std::string source = "y = 2; z = " + any_expression(dice, 4) + "; z - x";
        const script::Tree tree = script::parse(source);
        script::Scope one{{"x", 1.5}}, two = one, three = one;
        const double value = script::evaluate(tree, one);
        CHECK(visit, script::evaluate(script::fold(tree), two) == value);
        CHECK(visit, script::run(script::translate(script::fold(tree)), three) == value);
    }
}
