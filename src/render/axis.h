/* axis.h - numbers as people write them on plots: short labels and round tick distances. */
#ifndef OXP_RENDER_AXIS_H
#define OXP_RENDER_AXIS_H

#define OXP_LABEL_TEXT 32

/* At most three significant digits, a true minus sign, powers of ten as "1.2e-5" (with that
 * minus). NaN: "n/a". '.' in any locale. Returns buf. */
const char *oxp_number_label(double v, char buf[OXP_LABEL_TEXT]);

/* The smallest of 1, 2 or 5 times a power of ten that divides `range` into at most `most` steps. */
double oxp_axis_step(double range, int most);

#endif
