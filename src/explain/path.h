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

/* clang-format off */
#define OXP_LINE_PARAMS                                                                            \
    {"steps", "points on the line", OXP_PARAM_INT, 1, 10000, "50", NULL},                          \
    {"rule", "quadrature", OXP_PARAM_CHOICE, 0, 0, "gauss-legendre",                               \
     "gauss-legendre,left,right,middle,trapezoid"}
/* clang-format on */
/* The drive of integrated gradients: (x - x0) times the mean of the plan's outputs along the line,
 * with the completeness gap. */
oxp_status oxp_integrate_drive(oxp_drive *d);

/* Where a path starts, per feed. The parameter "baseline" says what it is: zero, a number, numbers
 * per channel, min, max, mean, blur (with "sigma"), random (with "seed"), or a word of the caller's
 * own for arrays that were handed over (oxp_reference). */
/* clang-format off */
#define OXP_BASELINE_PARAMS(kind)                                                                  \
    {"baseline",                                                                                   \
     "what the input is compared with: zero, a number, one number per channel (like 0.1,0.2,0.3)," \
     " min or max of the input, mean (of each channel), blur, random; in the command also black, " \
     "white, grey or a file", OXP_PARAM_TEXT, 0, 0, kind, NULL},                                          \
    {"sigma", "standard deviation of baseline=blur, in positions", OXP_PARAM_FLOAT, 0, 1e4, "10",  \
     NULL}
#define OXP_BASELINE_SEED                                                                          \
    {"seed", "of baseline=random", OXP_PARAM_INT, 0, 9007199254740992.0, "0", NULL}
#define OXP_BASELINE_AT                                                                            \
    {"baseline-at",                                                                                \
     "of inner tensors: the baseline is a value of the tensor, or of the model's input (then the " \
     "tensor starts at what it is for that input)", OXP_PARAM_CHOICE, 0, 0, "tensor",              \
     "tensor,input"}
/* clang-format on */
oxp_status oxp_baseline_check(oxp_ctx *ctx, const oxp_params *p); /* OXP_EINVAL: not a baseline */
oxp_status oxp_baseline_new(oxp_drive *d, double ***x0);          /* room for one item's */
bool oxp_baseline_is_at_input(const oxp_params *p);
/* The baseline of an item; `sample` tells random ones apart. */
oxp_status oxp_baseline_fill(oxp_drive *d, const char *kind, size_t item, uint32_t sample,
                             double *const *x0);

/* How many baselines were handed over for a tensor whose rows have this shape (OXP_EINVAL: none, or
 * of another shape), and number `which` of them. */
oxp_status oxp_reference_count(oxp_ctx *ctx, const oxp_params *p, const char *tensor,
                               const oxp_shape *row, size_t *n);
void oxp_reference_read(const oxp_params *p, const char *tensor, const oxp_shape *row, size_t which,
                        double *to);

/* to[o] = sum_s w_s out_o(x0 + a_s (x - x0)) for one item: the mean along the line of what the
 * method's plan gives; *start = Y(x0) unless NULL. Reports progress as step `done` + s of `total`. */
oxp_status oxp_line_mean(oxp_drive *d, const oxp_quadrature *q, const oxp_chunk *c, size_t item,
                         double *const *x0, double *const *to, double *start, uint64_t done,
                         uint64_t total);

#endif
