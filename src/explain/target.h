/* target.h - the scalar that is explained: which tensor it lives in, its classes, and the seed that
 * selects it.
 *
 * A target tensor's row (one item, batch axis dropped) is seen as (outer, classes, inner): class c
 * is the sum over outer and inner of the elements [., c, .]; outer = inner = 1 for classifiers.
 * A single unit behind a sigmoid counts as two classes: 1 = +s, 0 = -s (0 = 1 - p as probability);
 * as an output it is what it is. */
#ifndef OXP_EXPLAIN_TARGET_H
#define OXP_EXPLAIN_TARGET_H

#include "explain/method.h"

typedef struct oxp_score { /* where the score is, in the specialised graph */
    oxp_val target;        /* the tensor that the seed belongs to */
    oxp_val probability;   /* of the same shape; OXP_NO_VAL: none in the model */
    int class_axis;        /* of target, batch axis counted; -1: not classes */
    bool binary;           /* one unit behind a sigmoid */
    bool log_probability;  /* probability holds logarithms */
    bool bare;             /* no link: whether these are scores or values nobody says */
    oxp_space space;       /* what was found */
    const char *note;      /* what was assumed, or NULL */
} oxp_score;

/* Walks back from `output` through operators that only move elements to a Softmax, LogSoftmax or
 * Sigmoid (design decision 9). For space=prob on a model that ends in scores a Softmax over the
 * class axis is appended. */
oxp_status oxp_score_find(oxp_build *b, oxp_val output, oxp_space space, bool is_named_tensor,
                          size_t width, oxp_score *out);

typedef struct oxp_classes { /* of one row */
    int64_t outer, classes, inner, count;
    bool binary;
} oxp_classes;
oxp_classes oxp_classes_of(const oxp_shape *target, const oxp_score *score, bool batched);

/* Score of class c (or element, for targets that are not classes) in a row. */
double oxp_class_score(const oxp_classes *c, oxp_space space, const double *row, int64_t index);
/* Score of any kind of target: a class, an element, the sum of the row. */
double oxp_target_score(const oxp_classes *c, oxp_space space, oxp_target_kind kind, int64_t index,
                        const double *row);
/* Resolves a target against a row of scores: class index, or flat element. `but`: an index to
 * leave out of TOP (-1: none). */
oxp_status oxp_target_resolve(oxp_ctx *ctx, const oxp_classes *c, oxp_space space,
                              oxp_target target, const double *row, int64_t but, int64_t *index);
/* seed += weight dY/drow, where Y is the class's (or element's, or the sum's) score. */
void oxp_seed_add(const oxp_classes *c, oxp_target_kind kind, int64_t index, double weight,
                  double *seed);
/* Top k classes of a row with probabilities (prob: the row of the probability tensor or NULL).
 * Returns how many. */
size_t oxp_top_classes(const oxp_classes *c, const oxp_score *score, const double *row,
                       const double *prob, oxp_top *top, size_t k);

#endif
