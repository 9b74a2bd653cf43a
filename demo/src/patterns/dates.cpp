// Dates found in prose.
#include <algorithm>
#include <map>
#include <regex>
#include <string>
#include <tuple>
#include <vector>

#include "cabinet.h"

namespace {

using Date = std::tuple<int, int, int>;

int month_of(const std::string &name) {
    static const std::vector<std::string> names{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
    std::string start = name.substr(0, 3);
    start[0] = static_cast<char>(start[0] | 0x20);
    return static_cast<int>(std::find(names.begin(), names.end(), start) - names.begin()) + 1;
}

std::vector<Date> dates_in(const std::string &text) {
    static const std::regex iso(R"((\d{4})-(\d\d)-(\d\d))"), words(R"((\d{1,2})(?:st|nd|rd|th)? (\w+) (\d{4}))");
    std::vector<Date> dates;
    for (std::sregex_iterator i(text.begin(), text.end(), iso), end; i != end; ++i)
        dates.emplace_back(std::stoi((*i)[1]), std::stoi((*i)[2]), std::stoi((*i)[3]));
    for (std::sregex_iterator i(text.begin(), text.end(), words), end; i != end; ++i)
        dates.emplace_back(std::stoi((*i)[3]), month_of((*i)[2]), std::stoi((*i)[1]));
    std::sort(dates.begin(), dates.end());
    return dates;
}

} // namespace

void exhibit_dates(visit *visit) {
    const auto found = dates_in("Written on 1st May 1851, found 1969-07-20, lost again on 14 July 1789.");
    CHECK(visit, found == std::vector<Date>{{1789, 7, 14}, {1851, 5, 1}, {1969, 7, 20}});
    CHECK(visit, dates_in("no date, only 2026 and 12-12").empty());
}
