/* Digits that find typing errors: Luhn's, and that of ISBN-10. */
#include "cabinet.h"

#include <string.h>

static int luhn_holds(const char *digits) {
    int sum = 0;
    size_t length = strlen(digits);
    for (size_t i = 0; i < length; i++) {
        int digit = digits[length - 1 - i] - '0';
        if (i % 2)
            digit = digit > 4 ? 2 * digit - 9 : 2 * digit;
        sum += digit;
    }
    return sum % 10 == 0;
}

static int isbn_holds(const char *isbn) {
    int sum = 0;
    for (int i = 0; i < 10; i++)
        sum += (10 - i) * (isbn[i] == 'X' ? 10 : isbn[i] - '0');
    return sum % 11 == 0;
}

void exhibit_check_digits(struct visit *visit) {
    char number[] = "79927398713", isbn[] = "0306406152";
    CHECK(visit, luhn_holds(number) && isbn_holds(isbn) && isbn_holds("097522980X"));
    for (int i = 0; i < 10; i++) {
        number[i]++;
        CHECK(visit, number[i] > '9' || !luhn_holds(number));
        number[i]--;
    }
    for (int i = 0; i + 1 < 10; i++) {
        char first = isbn[i];
        isbn[i] = isbn[i + 1];
        isbn[i + 1] = first;
        CHECK(visit, isbn[i] == isbn[i + 1] || !isbn_holds(isbn));
        isbn[i + 1] = isbn[i];
        isbn[i] = first;
    }
}
