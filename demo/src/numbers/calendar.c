/* Weekdays, and the date of Easter (the anonymous Gregorian rule). */
#include "cabinet.h"

/* Days since 1 March of the year 0, Gregorian. */
static long day_number(int year, int month, int day) {
    if (month < 3) {
        year--;
        month += 12;
    }
    return 365L * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 1;
}

/* 0 is Sunday. */
static int weekday(int year, int month, int day) {
    return (int)((day_number(year, month, day) + 3) % 7);
}

/* month * 100 + day */
static int easter(int year) {
    int a = year % 19, b = year / 100, c = year % 100, h = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
    int l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7, m = (a + 11 * h + 22 * l) / 451;
    int n = h + l - 7 * m + 114;
    return n / 31 * 100 + n % 31 + 1;
}

void exhibit_calendar(struct visit *visit) {
    CHECK(visit, weekday(1969, 7, 20) == 0 && weekday(2000, 1, 1) == 6);
    CHECK(visit, day_number(2000, 3, 1) - day_number(2000, 2, 28) == 2);
    CHECK(visit, easter(2000) == 423 && easter(2024) == 331 && easter(2025) == 420);
    for (int year = 1900; year < 2100; year++)
        CHECK(visit, weekday(year, easter(year) / 100, easter(year) % 100) == 0);
}
