// Which lines of a verse rhyme, by the end of the last word.
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "cabinet.h"

namespace {

/// From the last group of vowels on, with endings that sound alike made one.
std::string ending(const std::string &line) {
    static const std::regex last(R"(([aeiouy]+[^aeiouy\s]*)[^a-z]*$)", std::regex::icase), ight("eight|ite"), air("are|ear");
    std::smatch part;
    if (!std::regex_search(line, part, last))
        return "";
    return std::regex_replace(std::regex_replace(part[1].str(), ight, "ight"), air, "air");
}

std::string scheme(const std::string &verse) {
    std::istringstream lines(verse);
    std::map<std::string, char> letter;
    std::string pattern;
    for (std::string line; std::getline(lines, line);)
        pattern += letter.emplace(ending(line), static_cast<char>('a' + letter.size())).first->second;
    return pattern;
}

} // namespace

void exhibit_rhymes(visit *visit) {
    CHECK(visit, scheme("a farm of machines at night\nwith nobody near at hand\n"
                        "compiles by the early light\nthe largest job in the land") == "abab");
    CHECK(visit, scheme("the linker ran\nas linkers can\nthe loader too\nhas work to do") == "aabc");
}
