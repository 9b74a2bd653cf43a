// Sudoku: the cell with the fewest digits left is tried first.
#include <algorithm>
#include <array>
#include <bitset>
#include <optional>
#include <string>
#include <vector>

#include "cabinet.h"

namespace {

using Left = std::bitset<9>;

class Sudoku {
  public:
    explicit Sudoku(const std::string &text) : digits(text) {}

    std::optional<std::string> solve() {
        std::optional<std::size_t> hardest;
        Left choices = Left().set();
        for (std::size_t cell = 0; cell < 81; ++cell)
            if (digits[cell] == '.' && left(cell).count() < choices.count() + !hardest) {
                hardest = cell;
                choices = left(cell);
            }
        if (!hardest)
            return digits;
        for (std::size_t digit = 0; digit < 9; ++digit)
            if (choices[digit]) {
                digits[*hardest] = static_cast<char>('1' + digit);
                if (auto solved = solve())
                    return solved;
            }
        digits[*hardest] = '.';
        return std::nullopt;
    }

  private:
    Left left(std::size_t cell) const {
        Left free = Left().set();
        const std::size_t row = cell / 9, column = cell % 9, box = row / 3 * 27 + column / 3 * 3;
        for (std::size_t i = 0; i < 9; ++i)
            for (std::size_t other : {row * 9 + i, i * 9 + column, box + i / 3 * 9 + i % 3})
                if (digits[other] != '.')
                    free.reset(static_cast<std::size_t>(digits[other] - '1'));
        return free;
    }

    std::string digits;
};

bool is_complete(const std::string &grid) {
    for (std::size_t unit = 0; unit < 9; ++unit) {
        std::array<Left, 3> seen;
        for (std::size_t i = 0; i < 9; ++i) {
            const std::size_t cells[] = {unit * 9 + i, i * 9 + unit, unit / 3 * 27 + unit % 3 * 3 + i / 3 * 9 + i % 3};
            for (std::size_t kind = 0; kind < 3; ++kind)
                seen[kind].set(static_cast<std::size_t>(grid[cells[kind]] - '1'));
        }
        if (!std::all_of(seen.begin(), seen.end(), [](const Left &s) { return s.all(); }))
            return false;
    }
    return true;
}

} // namespace

void exhibit_sudoku(visit *visit) {
    // Rows shifted by 1, 4, 7, 2, ... make a valid grid; holes are punched into it.
    std::string full, puzzle;
    for (int row = 0; row < 9; ++row)
        for (int column = 0; column < 9; ++column)
            full += static_cast<char>('1' + (row * 3 + row / 3 + column) % 9);
    for (std::size_t i = 0; i < full.size(); ++i)
        puzzle += i * i % 7 < 3 && i % 5 ? '.' : full[i];
    CHECK(visit, is_complete(full));
    const auto solved = Sudoku(puzzle).solve();
    CHECK(visit, solved && is_complete(*solved));
    const auto empty = Sudoku(std::string(81, '.')).solve();
    CHECK(visit, empty && is_complete(*empty));
}
