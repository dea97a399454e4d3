/* conv_form.h - the ways to compute a convolution or its adjoint with one fast primitive, and which to
 * take. No oneDNN in here: only shapes, loops over buffers, and the table of choices.
 *
 * Buffers are channels-last, weights are dense rows (K,C/group,kernel...). */
#ifndef OXP_EXEC_DNNL_CONV_FORM_H
#define OXP_EXEC_DNNL_CONV_FORM_H

#include "ops/lower.h"

typedef enum oxp_conv_kind {
    OXP_CONV_DIRECT, /* the primitive of that name */
    OXP_CONV_FLIP, /* adjoint, stride 1: forward over dy, taps reversed, channels swapped per group */
    OXP_CONV_BLOCK /* adjoint: forward over dy; its channels are a block of dx's cells, dealt out after */
} oxp_conv_kind;

typedef struct oxp_conv_form {
    oxp_conv_kind kind;
    bool backward; /* the primitive runs backwards (DIRECT adjoints only) */
    oxp_conv conv; /* what the primitive computes, forward geometry */
    int64_t
        repeat; /* depthwise with several outputs per channel: channels repeated so often; else 1 */
    int64_t block[3];  /* BLOCK: cells of dx per cell of the primitive's result */
    int64_t first[3];  /* BLOCK: smallest offset of a tap, <= 0 */
    oxp_conv original; /* BLOCK and FLIP: the weights' geometry */
    const char *avoid; /* an implementation known to be slow here, or NULL */
    const char *why;   /* for the log */
} oxp_conv_form;

enum { OXP_CONV_FORMS = 3 };

/* The same convolution on 2 or 3 axes: axes that do nothing are dropped, 1-D becomes 2-D of height 1. */
oxp_conv oxp_conv_lift(const oxp_conv *c);
/* 2 x multiply-adds, padding included. */
uint64_t oxp_conv_flops(const oxp_conv *c);
/* Forms worth trying for a lifted convolution, best first; the last is always DIRECT. Returns how many. */
int oxp_conv_forms(const oxp_conv *c, bool adjoint, oxp_conv_form out[OXP_CONV_FORMS]);
const char *oxp_conv_form_name(const oxp_conv_form *f);

/* The form without what its weights do not depend on, every byte set: a key. */
void oxp_conv_form_weights(const oxp_conv_form *f, oxp_conv_form *out);

/* ---- weights: from rows of the original to rows of the form's own convolution ---- */

/* Taps reversed, in and out swapped inside each group / block weights; conv_move.c. arg: oxp_conv_form. */
void oxp_conv_flip_weights(float *dst, const float *src, const void *arg);
void oxp_conv_block_weights(float *dst, const float *src, const void *arg);

/* ---- buffers beside the primitive; conv_move.c ---- */

/* (pixels,c) -> (pixels,c*m): each channel m times; and the sum of each m channels. */
void oxp_conv_repeat(float *dst, const float *src, int64_t pixels, int64_t c, int64_t m,
                     int threads);
void oxp_conv_sum(float *dst, const float *src, int64_t pixels, int64_t c, int64_t m, int threads);
/* The result of BLOCK's primitive (N,cells...,block...,C) to dx (N,in...,C). */
void oxp_conv_deal(float *dx, const float *cells, const oxp_conv_form *f, int threads);

#endif
