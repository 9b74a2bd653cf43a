// Counting in a log, as an administrator would with a long pipe of commands.
#include <algorithm>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "cabinet.h"

namespace {

struct Totals {
    std::map<std::string, int> results;
    std::map<std::string, long> milliseconds; // of each client
    std::vector<std::string> unread;
};

Totals count(std::istream &in) {
    static const std::regex line_form(R"(client: ([\d.]+):\d+ (\w+) exit:(\d+) .*time:(\d+)ms (\S+) (\S+))");
    Totals totals;
    for (std::string line; std::getline(in, line);) {
        std::smatch part;
        if (!std::regex_search(line, part, line_form)) {
            totals.unread.push_back(line);
            continue;
        }
        ++totals.results[part[2]];
        totals.milliseconds[part[1]] += std::stol(part[4]);
    }
    return totals;
}

} // namespace

void exhibit_logs(visit *visit) {
    std::istringstream log("client: 10.0.0.4:4217 COMPILE_OK exit:0 sig:0 time:14ms gcc hello.c\n"
                           "client: 10.0.0.4:4218 COMPILE_ERROR exit:1 sig:0 time:9ms gcc typo.c\n"
                           "something else\n"
                           "client: 10.0.0.5:4100 COMPILE_OK exit:0 sig:0 time:240ms g++ big.cpp\n");
    const Totals totals = count(log);
    CHECK(visit, totals.results == std::map<std::string, int>{{"COMPILE_ERROR", 1}, {"COMPILE_OK", 2}});
    CHECK(visit, totals.milliseconds.at("10.0.0.4") == 23 && totals.milliseconds.at("10.0.0.5") == 240);
    CHECK(visit, totals.unread == std::vector<std::string>{"something else"});
}
