/* recurrence.c - _Recurrence: one direction of an RNN, GRU or LSTM over all steps, after the product
 * of inputs and weights; and its adjoint.
 *
 *   _Recurrence(a (S,B,gN), R (gN,N), h0? (B,N), c0? (B,N), p?, lengths? (B)) ->
 *     y (S,B,N), h (B,N) the last state, z (S,B,W) what goes into the activations; of an LSTM
 *     y, h, c (B,N) the last cell state, z, cs (S,B,N) all cell states
 *   _RecurrenceGrad(R, z, y, cs?, h0?, c0?, p?, lengths?, dy?, dh?, dc?) ->
 *     da (S,B,gN), dh0 (B,N), dc0 (B,N), dR (gN,N), dp
 *
 * g gates: RNN 1, GRU 3 (z r h), LSTM 4 (i o f c). a holds x W' and all biases; p are the LSTM's
 * peepholes (3N: i o f), or the recurrent bias of a GRU that is linear before reset. W = gN, and for
 * such a GRU 4N: the last N are R_h h + p. The loops, and the formulas, are in recurrence_loops.inc. */
#include "ops/cell.h"
#include "ops/infer.h"
#include "ops/lower.h"

#include <string.h>

enum { A, R, H0, C0, P, LENGTHS }; /* inputs */
enum { Y, H, C, LSTM_Z, CS, N_LSTM_OUT, Z = C, N_OUT };
enum { GR, GZ, GY, GCS, GH0, GC0, GP, GLENGTHS, GDY, GDH, GDC, N_GRAD_IN }; /* of the adjoint */
enum { DA, DH0, DC0, DR, DP };

/* ---- geometry ---- */

oxp_status oxp_recurrence_read(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *a,
                               oxp_recurrence *out)
{
    const char *cell = oxp_attr_string(node, "cell", "");
    *out = (oxp_recurrence){.cell = strcmp(cell, "LSTM") == 0  ? OXP_CELL_LSTM
                                    : strcmp(cell, "GRU") == 0 ? OXP_CELL_GRU
                                                               : OXP_CELL_RNN};
    out->gates = out->cell == OXP_CELL_LSTM ? 4 : out->cell == OXP_CELL_GRU ? 3 : 1;
    out->n_acts = out->cell == OXP_CELL_LSTM ? 3 : out->cell == OXP_CELL_GRU ? 2 : 1;
    OXP_NODE_FAIL_IF(ctx, node, a->rank != 3 || a->dim[2] % out->gates != 0, OXP_EINTERNAL,
                     "has no input of %d gates over steps and items", out->gates);
    out->steps = a->dim[0];
    out->batch = a->dim[1];
    out->hidden = a->dim[2] / out->gates;
    out->reverse = oxp_attr_int(node, "reverse", 0) != 0;
    out->linear_before_reset = oxp_attr_int(node, "linear_before_reset", 0) != 0;
    out->input_forget = oxp_attr_int(node, "input_forget", 0) != 0;
    out->clip = oxp_attr_float(node, "clip", 0.0);
    const bool wide = out->cell == OXP_CELL_GRU && out->linear_before_reset;
    out->width = out->hidden * (wide ? 4 : out->gates);
    return oxp_acts_read(ctx, node, out->cell, 1, out->act);
}

/* The shape of a from that of z. */
static oxp_shape gates_of(const oxp_node *node, const oxp_shape *z)
{
    oxp_shape a = *z;
    const bool gru = strcmp(oxp_attr_string(node, "cell", ""), "GRU") == 0;
    if (gru && oxp_attr_int(node, "linear_before_reset", 0) != 0) a.dim[2] = a.dim[2] / 4 * 3;
    return a;
}

static oxp_shape shape1(int64_t n)
{
    return oxp_shape_of(1, (const int64_t[]){n});
}

static oxp_shape shape2(int64_t m, int64_t n)
{
    return oxp_shape_of(2, (const int64_t[]){m, n});
}

static oxp_shape shape3(int64_t k, int64_t m, int64_t n)
{
    return oxp_shape_of(3, (const int64_t[]){k, m, n});
}

static int64_t p_width(const oxp_recurrence *r)
{
    return r->cell == OXP_CELL_LSTM ? 3 * r->hidden : r->hidden;
}

/* Input i is absent or of this shape and kind. */
static oxp_status check(const oxp_infer *inf, size_t i, oxp_shape want, oxp_dtype dtype)
{
    char a[OXP_SHAPE_TEXT], b[OXP_SHAPE_TEXT];
    if (!oxp_infer_has(inf, i)) return OXP_OK;
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     oxp_infer_dtype(inf, i) != dtype ||
                         !oxp_shape_equal(oxp_infer_shape(inf, i), &want),
                     OXP_EINVAL, "expects %s%s as input %zu, found %s%s", oxp_dtype_name(dtype),
                     oxp_shape_text(&want, a), i, oxp_dtype_name(oxp_infer_dtype(inf, i)),
                     oxp_shape_text(oxp_infer_shape(inf, i), b));
    return OXP_OK;
}

static oxp_status infer_recurrence(oxp_infer *inf)
{
    oxp_recurrence r;
    OXP_TRY(oxp_infer_float(inf, A));
    OXP_TRY(oxp_recurrence_read(inf->ctx, inf->node, oxp_infer_shape(inf, A), &r));
    const int64_t n = r.hidden;
    const oxp_shape state = shape2(r.batch, n), all = shape3(r.steps, r.batch, n);
    OXP_TRY(check(inf, R, shape2(r.gates * n, n), OXP_F32));
    OXP_TRY(check(inf, H0, state, OXP_F32));
    OXP_TRY(check(inf, C0, state, OXP_F32));
    OXP_TRY(check(inf, P, shape1(p_width(&r)), OXP_F32));
    OXP_TRY(check(inf, LENGTHS, shape1(r.batch), OXP_I64));
    const bool lstm = r.cell == OXP_CELL_LSTM;
    const oxp_shape z = shape3(r.steps, r.batch, r.width), shape[] = {all, state, state, z, all};
    const uint32_t most = lstm ? N_LSTM_OUT : N_OUT;
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, inf->node->n_out > most, OXP_EINVAL,
                     "has at most %u outputs", most);
    for (uint32_t i = 0; i < inf->node->n_out; i++)
        OXP_TRY(oxp_infer_out(inf, i, OXP_F32, !lstm && i == Z ? &z : &shape[i]));
    return OXP_OK;
}

static oxp_status infer_recurrence_grad(oxp_infer *inf)
{
    oxp_recurrence r;
    OXP_TRY(oxp_infer_float(inf, GZ));
    const oxp_shape a = gates_of(inf->node, oxp_infer_shape(inf, GZ));
    OXP_TRY(oxp_recurrence_read(inf->ctx, inf->node, &a, &r));
    const int64_t n = r.hidden;
    const oxp_shape state = shape2(r.batch, n), all = shape3(r.steps, r.batch, n);
    OXP_TRY(check(inf, GR, shape2(r.gates * n, n), OXP_F32));
    OXP_TRY(check(inf, GY, all, OXP_F32));
    OXP_TRY(check(inf, GCS, all, OXP_F32));
    OXP_TRY(check(inf, GH0, state, OXP_F32));
    OXP_TRY(check(inf, GC0, state, OXP_F32));
    OXP_TRY(check(inf, GP, shape1(p_width(&r)), OXP_F32));
    OXP_TRY(check(inf, GLENGTHS, shape1(r.batch), OXP_I64));
    OXP_TRY(check(inf, GDY, all, OXP_F32));
    OXP_TRY(check(inf, GDH, state, OXP_F32));
    OXP_TRY(check(inf, GDC, state, OXP_F32));
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, r.cell == OXP_CELL_LSTM && !oxp_infer_has(inf, GCS),
                     OXP_EINVAL, "lacks the %s", "cell states");
    const oxp_shape shape[] = {a, state, state, shape2(r.gates * n, n), shape1(p_width(&r))};
    for (uint32_t i = 0; i < inf->node->n_out; i++)
        OXP_TRY(oxp_infer_out(inf, i, OXP_F32, &shape[i]));
    return OXP_OK;
}

/* ---- grad ---- */

/* All outputs of the node: its own, or those of a twin that has them all (merged later). */
static const oxp_val *all_outputs(oxp_grad *g, size_t n, oxp_val *made)
{
    if (g->node->n_out >= n) return g->node->out;
    oxp_emit_multi(g->b, g->node->op, g->node->in, g->node->n_in, g->node->attrs, g->node->n_attrs,
                   n, made);
    return made;
}

static oxp_val input(const oxp_node *node, size_t i)
{
    return oxp_node_has(node, i) ? node->in[i] : OXP_NO_VAL;
}

static oxp_val adjoint(const oxp_grad *g, size_t i)
{
    return i < g->node->n_out ? g->dy[i] : OXP_NO_VAL;
}

/* (da, dh0, dc0, dR, dp) = _RecurrenceGrad(...); z and cs are read by nothing that is asked for */
static oxp_status grad_recurrence(oxp_grad *g)
{
    oxp_recurrence r;
    oxp_val made[N_LSTM_OUT], d[DP + 1] = {OXP_NO_VAL};
    OXP_TRY(oxp_recurrence_read(g->b->ctx, g->node, oxp_b_shape(g->b, g->node->in[A]), &r));
    const bool lstm = r.cell == OXP_CELL_LSTM;
    const size_t z = lstm ? LSTM_Z : Z;
    OXP_NODE_FAIL_IF(g->b->ctx, g->node,
                     adjoint(g, z) != OXP_NO_VAL || adjoint(g, CS) != OXP_NO_VAL, OXP_EINTERNAL,
                     "has an adjoint for its %s", "inner values");
    const oxp_val *y = all_outputs(g, lstm ? N_LSTM_OUT : N_OUT, made);
    const oxp_val in[N_GRAD_IN] = {[GR] = g->node->in[R],
                                   [GZ] = y[z],
                                   [GY] = y[Y],
                                   [GCS] = lstm ? y[CS] : OXP_NO_VAL,
                                   [GH0] = input(g->node, H0),
                                   [GC0] = input(g->node, C0),
                                   [GP] = input(g->node, P),
                                   [GLENGTHS] = input(g->node, LENGTHS),
                                   [GDY] = g->dy[Y],
                                   [GDH] = adjoint(g, H),
                                   [GDC] = lstm ? adjoint(g, C) : OXP_NO_VAL};
    const bool weights = g->wants[R] || (oxp_node_has(g->node, P) && g->wants[P]);
    oxp_emit_multi(g->b, &oxp_op__RecurrenceGrad, in, N_GRAD_IN, g->node->attrs, g->node->n_attrs,
                   weights ? DP + 1 : DC0 + 1, d);
    const oxp_val of[] = {[A] = d[DA], [R] = d[DR], [H0] = d[DH0], [C0] = d[DC0], [P] = d[DP]};
    for (uint32_t i = 0; i < g->node->n_in && i <= P; i++)
        if (g->wants[i]) g->dx[i] = of[i];
    return g->b->status;
}

/* ---- ref ---- */

/* The lengths of the items as integers, in `data`. */
static oxp_status read_lengths(const oxp_call *call, size_t i, const oxp_recurrence *r,
                               oxp_recurrence_data *data)
{
    if (!oxp_node_has(call->node, i)) return OXP_OK;
    int64_t *lens = OXP_NEW(call->scratch, int64_t, r->batch + 1);
    OXP_NOMEM_IF(call->ctx, lens);
    for (int64_t b = 0; b < r->batch; b++) lens[b] = (int64_t)call->in[i][b];
    data->lens = lens;
    return OXP_OK;
}

static const double *given(const oxp_call *call, size_t i)
{
    return oxp_node_has(call->node, i) ? call->in[i] : NULL;
}

/* Output i, or room for it when nobody wants it; NULL when the operator has none. */
static oxp_status made(const oxp_call *call, size_t i, int64_t n, void **out)
{
    *out = i < call->node->n_out && call->out[i]
               ? call->out[i]
               : oxp_arena_zalloc(call->scratch, (size_t)n + 1, sizeof(double));
    OXP_NOMEM_IF(call->ctx, *out);
    return OXP_OK;
}

static oxp_status ref_recurrence(const oxp_call *call)
{
    oxp_recurrence r;
    OXP_TRY(oxp_recurrence_read(call->ctx, call->node, &call->in_shape[A], &r));
    oxp_recurrence_data d = {.a = call->in[A],
                             .r = call->in[R],
                             .h0 = given(call, H0),
                             .c0 = given(call, C0),
                             .p = given(call, P),
                             .out_h = call->node->n_out > H ? call->out[H] : NULL};
    const bool lstm = r.cell == OXP_CELL_LSTM;
    if (lstm && call->node->n_out > C) d.out_c = call->out[C];
    OXP_TRY(read_lengths(call, LENGTHS, &r, &d));
    const int64_t rows = r.steps * r.batch;
    OXP_TRY(made(call, Y, rows * r.hidden, &d.out_y));
    OXP_TRY(made(call, lstm ? LSTM_Z : Z, rows * r.width, &d.out_z));
    if (lstm) OXP_TRY(made(call, CS, rows * r.hidden, &d.out_cs));
    return oxp_recurrence_run(call->ctx, call->scratch, &r, &d);
}

static oxp_status ref_recurrence_grad(const oxp_call *call)
{
    oxp_recurrence r;
    const oxp_shape a = gates_of(call->node, &call->in_shape[GZ]);
    OXP_TRY(oxp_recurrence_read(call->ctx, call->node, &a, &r));
    oxp_recurrence_data d = {.r = call->in[GR],
                             .z = call->in[GZ],
                             .y = call->in[GY],
                             .cs = given(call, GCS),
                             .h0 = given(call, GH0),
                             .c0 = given(call, GC0),
                             .p = given(call, GP),
                             .dy = given(call, GDY),
                             .dh = given(call, GDH),
                             .dc = given(call, GDC),
                             .dr = call->node->n_out > DR ? call->out[DR] : NULL,
                             .dp = call->node->n_out > DP ? call->out[DP] : NULL};
    OXP_TRY(read_lengths(call, GLENGTHS, &r, &d));
    OXP_TRY(made(call, DA, r.steps * r.batch * r.gates * r.hidden, &d.da));
    OXP_TRY(made(call, DH0, r.batch * r.hidden, &d.dh0));
    OXP_TRY(made(call, DC0, r.batch * r.hidden, &d.dc0));
    return oxp_recurrence_run_grad(call->ctx, call->scratch, &r, &d);
}

/* ---- the loops in double ---- */

typedef double real;

static void activate(const oxp_act *act, int64_t n, const real *x, real *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = oxp_act_eval(act, x[i]);
}

static void activate_grad(const oxp_act *act, int64_t n, const real *x, const real *dy, real *dx)
{
    for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * oxp_act_grad(act, x[i]);
}

static void add_product(const real *r, int64_t rows, int64_t n, const real *x, real *y)
{
    for (int64_t i = 0; i < rows; i++) {
        real sum = 0;
        const real *row = r + i * n;
        for (int64_t k = 0; k < n; k++) sum += row[k] * x[k];
        y[i] += sum;
    }
}

static void add_back(const real *r, int64_t rows, int64_t n, const real *y, real *x)
{
    for (int64_t i = 0; i < rows; i++) {
        const real *row = r + i * n, factor = y[i];
        for (int64_t k = 0; k < n; k++) x[k] += factor * row[k];
    }
}

static void add_outer(real *r, int64_t rows, int64_t n, const real *y, const real *x)
{
    for (int64_t i = 0; r && i < rows; i++) {
        real *row = r + i * n, factor = y[i];
        for (int64_t k = 0; k < n; k++) row[k] += factor * x[k];
    }
}

#include "ops/recurrence_loops.inc"

static oxp_status check_lengths(oxp_ctx *ctx, const oxp_recurrence *r, const oxp_recurrence_data *d)
{
    for (int64_t b = 0; d->lens && b < r->batch; b++)
        OXP_FAIL_IF(ctx, d->lens[b] < 0 || d->lens[b] > r->steps, OXP_EINVAL,
                    "item %lld is said to have %lld steps of %lld", (long long)b,
                    (long long)d->lens[b], (long long)r->steps);
    return OXP_OK;
}

oxp_status oxp_recurrence_run(oxp_ctx *ctx, oxp_arena *scratch, const oxp_recurrence *r,
                              const oxp_recurrence_data *d)
{
    real *rows = OXP_NEW(scratch, real, OXP_CELL_ROWS * r->hidden + 1);
    OXP_NOMEM_IF(ctx, rows);
    OXP_TRY(check_lengths(ctx, r, d));
    run_forward(r, d, rows);
    return OXP_OK;
}

oxp_status oxp_recurrence_run_grad(oxp_ctx *ctx, oxp_arena *scratch, const oxp_recurrence *r,
                                   const oxp_recurrence_data *d)
{
    real *rows = OXP_NEW(scratch, real, OXP_CELL_ROWS * r->hidden + 1);
    OXP_NOMEM_IF(ctx, rows);
    OXP_TRY(check_lengths(ctx, r, d));
    run_backward(r, d, rows);
    return OXP_OK;
}

/* ---- lower ---- */

static oxp_status lower_recurrence(oxp_lower *lw, const oxp_node *node)
{
    oxp_recurrence r;
    OXP_TRY(oxp_recurrence_read(oxp_lower_ctx(lw), node,
                                oxp_shape_at(oxp_lower_graph(lw), node->in[A]), &r));
    return oxp_lower_recurrence(lw, &r, false, node);
}

static oxp_status lower_recurrence_grad(oxp_lower *lw, const oxp_node *node)
{
    oxp_recurrence r;
    const oxp_shape a = gates_of(node, oxp_shape_at(oxp_lower_graph(lw), node->in[GZ]));
    OXP_TRY(oxp_recurrence_read(oxp_lower_ctx(lw), node, &a, &r));
    return oxp_lower_recurrence(lw, &r, true, node);
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec attrs[] = {
    {"cell", OXP_ATTR_STRING, NULL}, {"activations", OXP_ATTR_STRING, NULL},
    {"activation_alpha", OXP_ATTR_FLOATS, NULL}, {"activation_beta", OXP_ATTR_FLOATS, NULL},
    {"clip", OXP_ATTR_FLOAT, NULL}, {"reverse", OXP_ATTR_INT, NULL},
    {"linear_before_reset", OXP_ATTR_INT, NULL}, {"input_forget", OXP_ATTR_INT, NULL},
    {NULL, OXP_ATTR_INT, NULL}};

const oxp_op oxp_op__Recurrence = {
    .name = "_Recurrence", .min_in = 2, .max_in = 6, .min_out = 1, .max_out = N_LSTM_OUT,
    .flags = OXP_OP_INTERNAL | OXP_OP_COMPOSITE, .attrs = attrs, .infer = infer_recurrence,
    .grad = grad_recurrence, .ref = ref_recurrence, .lower = lower_recurrence,
    .expand = oxp_recurrence_expand};
const oxp_op oxp_op__RecurrenceGrad = {
    .name = "_RecurrenceGrad", .min_in = 3, .max_in = N_GRAD_IN, .min_out = 1, .max_out = DP + 1,
    .flags = OXP_OP_INTERNAL, .attrs = attrs, .infer = infer_recurrence_grad,
    .ref = ref_recurrence_grad, .lower = lower_recurrence_grad, .expand = oxp_recurrence_grad_expand};
/* clang-format on */
