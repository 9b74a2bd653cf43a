/* Breaks text into lines so that the squared gaps at their ends are least (not greedily). */
#include "cabinet.h"

#include <limits.h>
#include <string.h>

enum { MAX_WORDS = 64 };

/* The least sum of squared gaps; the last line costs nothing. `breaks[i]` is the word after the line of word i. */
static int wrap(const char *text, int width, int breaks[MAX_WORDS], int *words) {
    int length[MAX_WORDS], cost[MAX_WORDS + 1], count = 0;
    while (*text) {
        length[count] = (int)strcspn(text, " ");
        text += length[count++];
        text += *text == ' ';
    }
    cost[count] = 0;
    for (int i = count - 1; i >= 0; i--) {
        int used = -1;
        cost[i] = INT_MAX;
        for (int j = i; j < count && (used += length[j] + 1) <= width; j++) {
            int gap = j == count - 1 ? 0 : width - used;
            if (cost[j + 1] != INT_MAX && gap * gap + cost[j + 1] < cost[i]) {
                cost[i] = gap * gap + cost[j + 1];
                breaks[i] = j + 1;
            }
        }
    }
    *words = count;
    return cost[0];
}

void exhibit_wrap(struct visit *visit) {
    int breaks[MAX_WORDS], words;
    /* Greedy would put "bb cc" (gap 1) first and leave "aaa" with "dd" apart. */
    CHECK(visit, wrap("aaa bb cc ddddd", 6, breaks, &words) == 9 + 1);
    CHECK(visit, words == 4 && breaks[0] == 1 && breaks[1] == 3);
    CHECK(visit, wrap("one two three", 80, breaks, &words) == 0 && breaks[0] == 3);
}
