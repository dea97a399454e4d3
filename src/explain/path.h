/* path.h - what methods share that follow a path from a baseline to the input, or average over noise:
 * quadrature rules, baselines, noisy copies, and buffers for a chunk of rows. */
#ifndef OXP_EXPLAIN_PATH_H
#define OXP_EXPLAIN_PATH_H

#include "explain/method.h"

/* sum_i w_i f(a_i) stands for the integral of f over (0, 1). */
typedef struct oxp_quadrature {
    size_t n;
    double *a, *w;
} oxp_quadrature;
/* As the parameters "steps" and "rule" say. */
oxp_status oxp_quadrature_make(oxp_drive *d, oxp_quadrature *q);

/* Rows to run together. */
typedef struct oxp_chunk {
    size_t width; /* rows there is room for */
    double **feed, **out;
    oxp_side *side;
    double *score;
} oxp_chunk;
oxp_status oxp_chunk_new(oxp_drive *d, size_t width, oxp_chunk *c);
/* Row `row` becomes the item itself. */
void oxp_chunk_item(const oxp_drive *d, const oxp_chunk *c, size_t row, size_t item);
/* Row `row` becomes x0 + a (x - x0) in the varied feeds, x in the others. */
void oxp_chunk_line(const oxp_drive *d, const oxp_chunk *c, size_t row, size_t item,
                    double *const *x0, double a);

/* In feed, row `row` becomes the item plus noise in the varied feeds, as the parameters "level", "noise"
 * and "seed" say; `sample` tells copies apart. */
void oxp_noise_row(const oxp_drive *d, double *const *feed, size_t row, size_t item,
                   uint32_t sample);

/* Where a path starts, per feed. The parameter "baseline" says what it is: zero, a number, numbers
 * per channel, min, max, mean, blur (with "sigma") or random (with "seed"). */
#define OXP_BASELINE_SENTENCE                                                                     \
    "where the path starts, in the model's input tensor: zero, a number, one number per channel " \
    "(like 0.1,0.2,0.3), min or max of the input, mean (of each channel), blur, random"
oxp_status oxp_baseline_check(oxp_ctx *ctx, const oxp_params *p); /* OXP_EINVAL: not a baseline */
oxp_status oxp_baseline_new(oxp_drive *d, double ***x0);          /* room for one item's */
/* The baseline of an item; `sample` tells random ones apart. */
oxp_status oxp_baseline_fill(oxp_drive *d, const char *kind, size_t item, uint32_t sample,
                             double *const *x0);

/* to[o] = sum_s w_s out_o(x0 + a_s (x - x0)) for one item: the mean along the line of what the
 * method's plan gives; *start = Y(x0) unless NULL. Reports progress as step `done` + s of `total`. */
oxp_status oxp_line_mean(oxp_drive *d, const oxp_quadrature *q, const oxp_chunk *c, size_t item,
                         double *const *x0, double *const *to, double *start, uint64_t done,
                         uint64_t total);
/* |sum - (Y(x) - Y(x0))| relative to that change */
double oxp_line_gap(double sum, const double ends[2]);

#endif
