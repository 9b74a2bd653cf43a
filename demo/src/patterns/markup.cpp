// A little of Markdown to HTML.
#include <functional>
#include <regex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cabinet.h"

namespace {

std::string spans(std::string text) {
    static const std::vector<std::pair<std::regex, std::string>> rules{
        {std::regex("&"), "&amp;"},
        {std::regex("<"), "&lt;"},
        {std::regex("`([^`]+)`"), "<code>$1</code>"},
        {std::regex(R"(\*\*([^*]+)\*\*)"), "<b>$1</b>"},
        {std::regex(R"(\*([^*]+)\*)"), "<i>$1</i>"},
        {std::regex(R"(\[([^\]]+)\]\(([^)]+)\))"), "<a href=\"$2\">$1</a>"}};
    for (const auto &[pattern, with] : rules)
        text = std::regex_replace(text, pattern, with);
    return text;
}

std::string html(const std::string &source) {
    static const std::regex heading(R"(^(#{1,6}) (.*)$)"), item(R"(^[-*] (.*)$)");
    std::istringstream lines(source);
    std::string out;
    bool in_list = false;
    for (std::string line; std::getline(lines, line);) {
        std::smatch part;
        const bool is_item = std::regex_match(line, part, item);
        if (is_item != in_list)
            out += is_item ? "<ul>" : "</ul>";
        in_list = is_item;
        if (is_item) {
            out += "<li>" + spans(part[1]) + "</li>";
        } else if (std::regex_match(line, part, heading)) {
            const std::string level = "h" + std::to_string(part[1].length());
            out += "<" + level + ">" + spans(part[2]) + "</" + level + ">";
        } else if (!line.empty()) {
            out += "<p>" + spans(line) + "</p>";
        }
    }
    return out + (in_list ? "</ul>" : "");
}

} // namespace

void exhibit_markup(visit *visit) {
    CHECK(visit, html("## A *fine* day") == "<h2>A <i>fine</i> day</h2>");
    CHECK(visit, html("- one\n- **two**\nthree") == "<ul><li>one</li><li><b>two</b></li></ul><p>three</p>");
    CHECK(visit, html("`a<b` & [c](d)") == "<p><code>a&lt;b</code> &amp; <a href=\"d\">c</a></p>");
}
