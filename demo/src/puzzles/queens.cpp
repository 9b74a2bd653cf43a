// Queens that do not see each other, on boards of several sizes.
#include <algorithm>
#include <array>
#include <bitset>
#include <functional>
#include <set>
#include <vector>

#include "cabinet.h"

namespace {

template <std::size_t N> class Board {
  public:
    int solutions() {
        place(0);
        return count;
    }
    /// Solutions of which none is another one turned or mirrored.
    std::size_t shapes() const { return distinct.size(); }

  private:
    using Queens = std::array<std::size_t, N>; // the column of each row

    static Queens turned(const Queens &queens) {
        Queens out{};
        for (std::size_t row = 0; row < N; ++row)
            out[queens[row]] = N - 1 - row;
        return out;
    }
    static Queens mirrored(Queens queens) {
        for (auto &column : queens)
            column = N - 1 - column;
        return queens;
    }
    void place(std::size_t row) {
        if (row == N) {
            ++count;
            Queens least = queens, now = queens;
            for (int i = 0; i < 4; ++i, now = turned(now))
                least = std::min({least, now, mirrored(now)});
            distinct.insert(least);
            return;
        }
        for (std::size_t column = 0; column < N; ++column) {
            if (columns[column] || rising[row + column] || falling[row + N - 1 - column])
                continue;
            columns[column] = rising[row + column] = falling[row + N - 1 - column] = true;
            queens[row] = column;
            place(row + 1);
            columns[column] = rising[row + column] = falling[row + N - 1 - column] = false;
        }
    }

    Queens queens{};
    std::bitset<N> columns;
    std::bitset<2 * N> rising, falling;
    std::set<Queens> distinct;
    int count = 0;
};

template <std::size_t N> bool has(int solutions, std::size_t shapes) {
    Board<N> board;
    return board.solutions() == solutions && board.shapes() == shapes;
}

} // namespace

void exhibit_queens(visit *visit) {
    CHECK(visit, has<4>(2, 1));
    CHECK(visit, has<5>(10, 2));
    CHECK(visit, has<6>(4, 1));
    CHECK(visit, has<7>(40, 6));
    CHECK(visit, has<8>(92, 12));
}
