/* Large numbers in an array of digits: 100!, and a Fibonacci number. */
#include "cabinet.h"

#include <string.h>

enum { SIZE = 200 };

struct number {
    int length;
    unsigned char digit[SIZE]; /* the lowest first */
};

static void multiply(struct number *number, int by) {
    int carry = 0;
    for (int i = 0; i < number->length || carry; i++) {
        if (i == number->length)
            number->digit[number->length++] = 0;
        carry += number->digit[i] * by;
        number->digit[i] = (unsigned char)(carry % 10);
        carry /= 10;
    }
}

static void add(struct number *to, const struct number *other) {
    int carry = 0;
    for (int i = 0; i < to->length || i < other->length || carry; i++) {
        if (i == to->length)
            to->digit[to->length++] = 0;
        carry += to->digit[i] + (i < other->length ? other->digit[i] : 0);
        to->digit[i] = (unsigned char)(carry % 10);
        carry /= 10;
    }
}

static int digit_sum(const struct number *number) {
    int sum = 0;
    for (int i = 0; i < number->length; i++)
        sum += number->digit[i];
    return sum;
}

void exhibit_factorial(struct visit *visit) {
    struct number product = {1, {1}};
    for (int n = 2; n <= 100; n++)
        multiply(&product, n);
    CHECK(visit, product.length == 158 && digit_sum(&product) == 648);

    struct number one = {1, {1}}, two = {1, {1}};
    for (int n = 3; n <= 200; n++) {
        struct number next = one;
        add(&next, &two);
        one = two;
        two = next;
    }
    char text[SIZE + 1] = "";
    for (int i = 0; i < two.length; i++)
        text[i] = (char)('0' + two.digit[two.length - 1 - i]);
    CHECK(visit, strcmp(text, "280571172992510140037611932413038677189525") == 0);
}
