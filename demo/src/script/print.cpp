// A tree as text, with every bracket; reading it again gives the same tree.
#include "script.hpp"

#include <sstream>

#include "cabinet.h"

namespace script {

std::string print(const Tree &tree) {
    return std::visit(Match{[](const Number &n) {
                                std::ostringstream out;
                                out << n.value;
                                return out.str();
                            },
                            [](const Name &n) { return n.text; },
                            [](const Binary &b) {
                                const std::string sign = b.sign == '=' ? "==" : std::string(1, b.sign);
                                return "(" + print(b.left) + " " + sign + " " + print(b.right) + ")";
                            },
                            [](const Call &c) { return c.function + "(" + print(c.argument) + ")"; },
                            [](const Choice &c) {
                                return "(if " + print(c.condition) + " then " + print(c.yes) + " else " + print(c.no) + ")";
                            },
                            [](const Assign &a) { return a.name + " = " + print(a.value); },
                            [](const Sequence &s) {
                                std::string text;
                                for (const Tree &step : s.steps)
                                    text += (text.empty() ? "" : "; ") + print(step);
                                return text;
                            }},
                      tree->is);
}

} // namespace script

void exhibit_printer(visit *visit) {
    CHECK(visit, script::print(script::parse("1+2*x^2")) == "(1 + (2 * (x ^ 2)))");
    for (const char *source : {"a = 1; b = a + 2; a * b", "if x < 1 then sin(x) else -x", "(a == b) / 2 / 3", "1 - 2 - 3"}) {
        const std::string once = script::print(script::parse(source));
        CHECK(visit, script::print(script::parse(once)) == once);
    }
}
