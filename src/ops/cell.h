/* cell.h - the recurrent cells: their activation functions, and one direction of a recurrence as
 * loops and as graphs.
 *
 * Gates lie as ONNX orders them: LSTM i o f c, GRU z r h. */
#ifndef OXP_OPS_CELL_H
#define OXP_OPS_CELL_H

#include "ops/build.h"

typedef enum oxp_cell { OXP_CELL_RNN, OXP_CELL_GRU, OXP_CELL_LSTM } oxp_cell;

/* Rows of `hidden` numbers that the loops need beside their arguments. */
enum { OXP_CELL_ROWS = 10 };

typedef enum oxp_act_fn {
    OXP_ACT_AFFINE, /* alpha x + beta */
    OXP_ACT_ELU,
    OXP_ACT_HARD_SIGMOID,
    OXP_ACT_LEAKY_RELU,
    OXP_ACT_RELU,
    OXP_ACT_SCALED_TANH, /* alpha tanh(beta x) */
    OXP_ACT_SIGMOID,
    OXP_ACT_SOFTPLUS,
    OXP_ACT_SOFTSIGN,
    OXP_ACT_TANH,
    OXP_ACT_THRESHOLDED_RELU /* x > alpha ? x : 0 */
} oxp_act_fn;

typedef struct oxp_act {
    oxp_act_fn fn;
    double alpha, beta;
} oxp_act;

/* One direction over all steps. */
typedef struct oxp_recurrence {
    oxp_cell cell;
    int gates, n_acts;
    int64_t steps, batch, hidden;
    int64_t width; /* numbers kept per step and item for the adjoint: see _Recurrence */
    bool reverse, linear_before_reset, input_forget;
    double clip; /* of what goes into a gate's activation; 0: none */
    oxp_act act[3];
} oxp_recurrence;

/* What one direction reads and writes, as arrays of one kind of float; see _Recurrence and
 * _RecurrenceGrad. NULL: absent, or not wanted. */
typedef struct oxp_recurrence_data {
    const void *a, *r, *h0, *c0, *p, *z, *y, *cs, *dy, *dh, *dc;
    const int64_t *lens;
    void *out_y, *out_h, *out_z, *out_c, *out_cs;
    void *da, *dh0, *dc0, *dr, *dp;
} oxp_recurrence_data;

/* "Tanh": which function, its defaults, which of alpha and beta it takes; false: none of ONNX's. */
bool oxp_act_find(const char *name, size_t len, oxp_act *act, bool *takes_alpha, bool *takes_beta);
double oxp_act_eval(const oxp_act *act, double x);
double oxp_act_grad(const oxp_act *act, double x); /* kinks as in ops/fn.h */
oxp_val oxp_act_build(oxp_build *b, const oxp_act *act, oxp_val x);
/* dy f'(x) */
oxp_val oxp_act_build_grad(oxp_build *b, const oxp_act *act, oxp_val x, oxp_val dy);

/* The attributes activations, activation_alpha and activation_beta of a node with `directions`;
 * acts has room for 3 per direction. */
oxp_status oxp_acts_read(oxp_ctx *ctx, const oxp_node *node, oxp_cell cell, int directions,
                         oxp_act *acts);

/* The geometry and attributes of a _Recurrence or _RecurrenceGrad node; a is (steps, batch, gates
 * hidden). */
oxp_status oxp_recurrence_read(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *a,
                               oxp_recurrence *out);
/* In double; `scratch` for rows. */
oxp_status oxp_recurrence_run(oxp_ctx *ctx, oxp_arena *scratch, const oxp_recurrence *r,
                              const oxp_recurrence_data *d);
oxp_status oxp_recurrence_run_grad(oxp_ctx *ctx, oxp_arena *scratch, const oxp_recurrence *r,
                                   const oxp_recurrence_data *d);

/* Unrolled (recurrence_expand.c). */
oxp_status oxp_recurrence_expand(oxp_build *b, const oxp_node *node, oxp_val *out);
oxp_status oxp_recurrence_grad_expand(oxp_build *b, const oxp_node *node, oxp_val *out);

#endif
