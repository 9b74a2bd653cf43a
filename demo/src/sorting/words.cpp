// Sorting of words: by letters, and as a reader expects numbers in them ("file9" before "file10").
#include "sorting.hpp"

#include <cctype>
#include <sstream>

namespace {

struct Naturally {
    bool operator()(const std::string &a, const std::string &b) const {
        std::size_t i = 0, j = 0;
        while (i < a.size() && j < b.size()) {
            if (std::isdigit(static_cast<unsigned char>(a[i])) && std::isdigit(static_cast<unsigned char>(b[j]))) {
                std::size_t used_a = 0, used_b = 0;
                const auto left = std::stoul(a.substr(i), &used_a), right = std::stoul(b.substr(j), &used_b);
                if (left != right)
                    return left < right;
                i += used_a;
                j += used_b;
            } else if (a[i] != b[j]) {
                return a[i] < b[j];
            } else {
                ++i;
                ++j;
            }
        }
        return a.size() - i < b.size() - j;
    }
};

} // namespace

void exhibit_sort_words(visit *visit) {
    std::istringstream text("it was the best of times it was the worst of times it was the age of wisdom");
    std::vector<std::string> words{std::istream_iterator<std::string>(text), {}};
    sorting::try_all(visit, words);
    std::vector<std::string> files;
    for (int i = 0; i < 120; ++i)
        files.push_back("file" + std::to_string(i) + ".o");
    sorting::try_all(visit, files, Naturally());
    CHECK(visit, std::is_sorted(files.begin(), files.end(), Naturally()));
    CHECK(visit, !std::is_sorted(files.begin(), files.end()));
}
