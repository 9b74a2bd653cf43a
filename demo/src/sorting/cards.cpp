// A deck of cards in the order of a bridge player, and its hands by their worth.
#include "sorting.hpp"

#include <array>

namespace {

enum class Suit { clubs, diamonds, hearts, spades };

struct Card {
    Suit suit;
    int rank; // 2 .. 14, the ace
    bool operator<(const Card &other) const { return std::pair(suit, rank) < std::pair(other.suit, other.rank); }
};

using Hand = std::array<Card, 13>;

int worth(const Hand &hand) {
    return std::accumulate(hand.begin(), hand.end(), 0, [](int sum, const Card &c) { return sum + std::max(0, c.rank - 10); });
}

} // namespace

void exhibit_sort_cards(visit *visit) {
    std::vector<Card> deck;
    for (Suit suit : {Suit::clubs, Suit::diamonds, Suit::hearts, Suit::spades})
        for (int rank = 2; rank <= 14; ++rank)
            deck.push_back({suit, rank});
    sorting::try_all(visit, deck);

    dice dice = dice_new(52);
    sorting::shuffle(deck, dice);
    std::vector<Hand> hands(4);
    for (std::size_t i = 0; i < deck.size(); ++i)
        hands[i % 4][i / 4] = deck[i];
    sorting::try_all(visit, hands, [](const Hand &a, const Hand &b) { return worth(a) < worth(b); });
    CHECK(visit, std::accumulate(hands.begin(), hands.end(), 0, [](int s, const Hand &h) { return s + worth(h); }) == 40);
}
