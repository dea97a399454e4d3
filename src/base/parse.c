/* parse.c - strict numbers from text. strtod does the rounding; the grammar and the locale are
 * ours. */
#include "base/parse.h"
#include <locale.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool oxp_parse_i64(const char *text, int64_t *out)
{
    const bool negative = *text == '-';
    if (*text == '-' || *text == '+') text++;
    if (!is_digit(*text)) return false;
    int64_t value = 0; /* kept negative: the negative range is the larger one */
    for (; is_digit(*text); text++) {
        const int digit = *text - '0';
        if (value < (INT64_MIN + digit) / 10) return false;
        value = value * 10 - digit;
    }
    if (*text != '\0' || (!negative && value == INT64_MIN)) return false;
    *out = negative ? value : -value;
    return true;
}

static const char *skip_digits(const char *p)
{
    while (is_digit(*p)) p++;
    return p;
}

static bool is_decimal(const char *p)
{
    if (*p == '-' || *p == '+') p++;
    const char *whole = skip_digits(p);
    ptrdiff_t digits = whole - p;
    p = whole;
    if (*p == '.') {
        const char *fraction = skip_digits(p + 1);
        digits += fraction - (p + 1);
        p = fraction;
    }
    if (digits == 0) return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        if (*p == '-' || *p == '+') p++;
        if (!is_digit(*p)) return false;
        p = skip_digits(p);
    }
    return *p == '\0';
}

bool oxp_parse_double(const char *text, double *out)
{
    if (!is_decimal(text)) return false;
    const locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c == (locale_t)0) return false;
    const locale_t before = uselocale(c); /* of this thread only */
    const double value = strtod(text, NULL);
    uselocale(before);
    freelocale(c);
    if (!isfinite(value)) return false;
    *out = value;
    return true;
}

/* After a mismatch the last * takes one character more: linear in memory, no recursion. */
bool oxp_glob(const char *pattern, const char *text)
{
    const char *star = NULL, *from = text;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            from = text;
        } else if (*pattern == *text || *pattern == '?') {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return *pattern == '\0';
}
