/* parse.h - strict numbers from text: the whole string, in the C locale whatever the program's,
 * nothing around it. */
#ifndef OXP_BASE_PARSE_H
#define OXP_BASE_PARSE_H

#include <stdbool.h>
#include <stdint.h>

/* [+-]digits, decimal. False (and *out untouched) for anything else, and when it does not fit. */
bool oxp_parse_i64(const char *text, int64_t *out);
/* [+-]digits[.digits][e[+-]digits], a digit on at least one side of the point; correctly rounded.
 * False for anything else (hexadecimal, inf, nan) and for numbers too large for a double. */
bool oxp_parse_double(const char *text, double *out);

/* Does all of `text` fit the pattern, in which * stands for any text and ? for one character? */
bool oxp_glob(const char *pattern, const char *text);

#endif
