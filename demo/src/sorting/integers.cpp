// Sorting of numbers, up and down.
#include "sorting.hpp"

void exhibit_sort_integers(visit *visit) {
    std::vector<int> values(400);
    std::iota(values.begin(), values.end(), -200);
    sorting::try_all(visit, values);
    sorting::try_all(visit, values, std::greater<int>());
    std::vector<unsigned char> few(300);
    for (std::size_t i = 0; i < few.size(); ++i)
        few[i] = static_cast<unsigned char>(i * i % 7);
    sorting::try_all(visit, few);
}
