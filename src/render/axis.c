/* axis.c - see axis.h. */
#include "render/axis.h"
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MINUS "\xE2\x88\x92"

/* Copies src with the typographic minus and a plain point. */
static void tidy(const char *src, char buf[OXP_LABEL_TEXT])
{
    const char *point = localeconv()->decimal_point;
    const size_t point_n = strlen(point);
    size_t n = 0;
    while (*src != '\0' && n + sizeof MINUS < OXP_LABEL_TEXT) {
        if (point_n > 0 && strncmp(src, point, point_n) == 0) {
            buf[n++] = '.';
            src += point_n;
        } else if (*src == '-') {
            memcpy(buf + n, MINUS, sizeof MINUS - 1);
            n += sizeof MINUS - 1;
            src++;
        } else {
            buf[n++] = *src++;
        }
    }
    buf[n] = '\0';
}

const char *oxp_number_label(double v, char buf[OXP_LABEL_TEXT])
{
    char plain[OXP_LABEL_TEXT];
    const double magnitude = fabs(v);
    if (isnan(v)) {
        snprintf(plain, sizeof plain, "n/a");
    } else if (v != 0 && (magnitude < 1e-3 || magnitude >= 1e5) && isfinite(v)) {
        int power = (int)floor(log10(magnitude));
        if (magnitude / pow(10, power) >= 9.95) power++; /* it will round up to 10 */
        snprintf(plain, sizeof plain, "%.2ge%d", v / pow(10, power), power);
    } else if (magnitude >= 999.5) {
        snprintf(plain, sizeof plain, "%.0f", v);
    } else {
        snprintf(plain, sizeof plain, "%.3g", v == 0 ? 0 : v);
    }
    tidy(plain, buf);
    return buf;
}

double oxp_axis_step(double range, int most)
{
    if (!(range > 0) || most < 1) return 1;
    static const double nice[] = {1, 2, 5, 10};
    const double least = range / most, power = pow(10, floor(log10(least)));
    for (int i = 0; i < 3; i++)
        if (nice[i] * power >= least * (1 - 1e-9)) return nice[i] * power;
    return nice[3] * power;
}
