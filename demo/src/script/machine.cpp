// A tree to steps of a stack machine, and the machine.
#include "script.hpp"

#include "cabinet.h"

namespace script {
namespace {

void emit(const Tree &tree, std::vector<Step> &out) {
    std::visit(Match{[&](const Number &n) { out.push_back({Step::push, n.value}); },
                     [&](const Name &n) { out.push_back({Step::load, n.text}); },
                     [&](const Binary &b) {
                         emit(b.left, out);
                         emit(b.right, out);
                         out.push_back({Step::binary, b.sign});
                     },
                     [&](const Call &c) {
                         emit(c.argument, out);
                         out.push_back({Step::function, c.function});
                     },
                     [&](const Choice &c) {
                         emit(c.condition, out);
                         const std::size_t test = out.size();
                         out.push_back({Step::jump_unless, {}});
                         emit(c.yes, out);
                         const std::size_t leave = out.size();
                         out.push_back({Step::jump, {}});
                         out[test].with = out.size();
                         emit(c.no, out);
                         out[leave].with = out.size();
                     },
                     [&](const Assign &a) {
                         emit(a.value, out);
                         out.push_back({Step::store, a.name});
                     },
                     [&](const Sequence &s) {
                         for (std::size_t i = 0; i < s.steps.size(); ++i) {
                             if (i > 0)
                                 out.push_back({Step::drop, {}});
                             emit(s.steps[i], out);
                         }
                     }},
               tree->is);
}

} // namespace

std::vector<Step> translate(const Tree &tree) {
    std::vector<Step> program;
    emit(tree, program);
    return program;
}

double run(const std::vector<Step> &program, Scope &scope) {
    std::vector<double> stack;
    const auto pop = [&] {
        const double top = stack.back();
        stack.pop_back();
        return top;
    };
    for (std::size_t next = 0; next < program.size();) {
        const Step &step = program[next++];
        switch (step.code) {
        case Step::push:
            stack.push_back(std::get<double>(step.with));
            break;
        case Step::load:
            stack.push_back(scope.at(std::get<std::string>(step.with)));
            break;
        case Step::store:
            scope[std::get<std::string>(step.with)] = stack.back();
            break;
        case Step::drop:
            pop();
            break;
        case Step::binary: {
            const double right = pop();
            stack.back() = apply(std::get<char>(step.with), stack.back(), right);
            break;
        }
        case Step::function:
            stack.back() = call(std::get<std::string>(step.with), stack.back());
            break;
        case Step::jump:
            next = std::get<std::size_t>(step.with);
            break;
        case Step::jump_unless:
            if (pop() == 0)
                next = std::get<std::size_t>(step.with);
            break;
        }
    }
    return stack.empty() ? 0 : stack.back();
}

} // namespace script

void exhibit_machine(visit *visit) {
    for (const char *source : {"1 + 2 * 3", "a = 4; b = sqrt(a); a ^ b - 1", "x = 3; if x < 2 then 10 else if x == 3 then 20 else 30"}) {
        const script::Tree tree = script::parse(source);
        script::Scope one, other;
        CHECK(visit, script::run(script::translate(tree), one) == script::evaluate(tree, other));
        CHECK(visit, one == other);
    }
    CHECK(visit, script::translate(script::fold(script::parse("1 + 2 * 3"))).size() == 1);
}
