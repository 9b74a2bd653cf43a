// Markov chains: babble in the manner of a text.
#include <algorithm>
#include <deque>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include "cabinet.h"
#include "dice.h"

namespace {

using Words = std::vector<std::string>;

Words words_of(const std::string &text) {
    std::istringstream in(text);
    return {std::istream_iterator<std::string>(in), {}};
}

template <std::size_t Order> class Babbler {
  public:
    explicit Babbler(const Words &words) {
        std::deque<std::string> before(words.begin(), words.begin() + Order);
        for (auto word = words.begin() + Order; word != words.end(); ++word) {
            follow[before].push_back(*word);
            before.pop_front();
            before.push_back(*word);
        }
    }
    Words talk(dice &dice, std::size_t length) const {
        std::deque<std::string> before = follow.begin()->first;
        Words said(before.begin(), before.end());
        while (said.size() < length) {
            const auto known = follow.find(before);
            if (known == follow.end())
                break;
            said.push_back(known->second[dice_roll(&dice, static_cast<unsigned>(known->second.size()))]);
            before.pop_front();
            before.push_back(said.back());
        }
        return said;
    }

  private:
    std::map<std::deque<std::string>, Words> follow;
};

/// True if every run of `length` words that was said occurs in the text.
bool is_made_of(const Words &said, const Words &text, std::size_t length) {
    std::set<Words> runs;
    for (auto i = text.begin(); text.end() - i >= static_cast<std::ptrdiff_t>(length); ++i)
        runs.emplace(i, i + static_cast<std::ptrdiff_t>(length));
    for (auto i = said.begin(); said.end() - i >= static_cast<std::ptrdiff_t>(length); ++i)
        if (!runs.count(Words(i, i + static_cast<std::ptrdiff_t>(length))))
            return false;
    return true;
}

} // namespace

void exhibit_babble(visit *visit) {
    const Words text = words_of("the cat sat on the mat and the dog sat on the log and the cat saw the dog on the mat and "
                                "the dog saw the cat on the log and the log sat on the dog");
    dice dice = dice_new(99);
    for (int i = 0; i < 10; ++i) {
        const Words one = Babbler<1>(text).talk(dice, 30), two = Babbler<2>(text).talk(dice, 30);
        CHECK(visit, is_made_of(one, text, 2) && is_made_of(two, text, 3) && one.size() > 1);
    }
}
