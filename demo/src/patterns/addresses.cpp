// Taking web addresses apart.
#include <map>
#include <optional>
#include <regex>
#include <string>

#include "cabinet.h"

namespace {

struct Address {
    std::string scheme, host, path;
    int port;
    std::map<std::string, std::string> query;
};

std::optional<Address> take_apart(const std::string &text) {
    static const std::regex whole(R"(^([a-z]+)://([^/:?#]+|\[[0-9a-f:]+\])(?::(\d{1,5}))?(/[^?#]*)?(?:\?([^#]*))?$)"),
        pair(R"(([^=&]+)=([^&]*))");
    std::smatch part;
    if (!std::regex_match(text, part, whole))
        return std::nullopt;
    Address address{part[1], part[2], part[4].matched ? part[4].str() : "/", part[3].matched ? std::stoi(part[3]) : 0, {}};
    const std::string query = part[5];
    for (std::sregex_iterator i(query.begin(), query.end(), pair), end; i != end; ++i)
        address.query[(*i)[1]] = (*i)[2];
    return address;
}

} // namespace

void exhibit_addresses(visit *visit) {
    const auto full = take_apart("https://example.org:8443/a/b?x=1&name=two");
    CHECK(visit, full && full->host == "example.org" && full->port == 8443 && full->path == "/a/b");
    CHECK(visit, full && full->query == std::map<std::string, std::string>{{"name", "two"}, {"x", "1"}});
    const auto literal = take_apart("http://[fd77::1]:3632");
    CHECK(visit, literal && literal->host == "[fd77::1]" && literal->port == 3632 && literal->path == "/");
    CHECK(visit, !take_apart("not an address") && !take_apart("http://host:123456/"));
}
