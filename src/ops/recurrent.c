/* recurrent.c - RNN, GRU and LSTM as ONNX has them: one or two directions, each the product of all
 * inputs with the weights, then a _Recurrence (recurrence.c).
 *
 *   x (S,B,I), W (D,gN,I), R (D,gN,N), bias? (D,2gN), lengths? (B), h0? (D,B,N), c0? (D,B,N), P? (D,3N)
 *   -> y (S,D,B,N), h (D,B,N), c (D,B,N);  layout 1: B is the first axis of x, h0, c0 and all results
 *
 * Specialisation puts the expansion in the place of the node, so that what follows sees products and
 * recurrences only. */
#include "ops/cell.h"
#include "ops/infer.h"

#include <string.h>

enum { X, W, R, BIAS, LENGTHS, H0, C0, P, N_IN };

typedef struct recurrent {
    const char *cell;
    oxp_cell kind;
    int gates, acts;
    int64_t directions, steps, batch, inputs, hidden;
    bool batch_first, reverse, linear; /* reverse: the only direction */
    oxp_act act[6];
} recurrent;

/* ---- geometry ---- */

static oxp_status read_recurrent(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                                 const oxp_shape *r, recurrent *out)
{
    const char *direction = oxp_attr_string(node, "direction", "forward");
    *out = (recurrent){.cell = node->op->name};
    out->kind = node->op == &oxp_op_LSTM  ? OXP_CELL_LSTM
                : node->op == &oxp_op_GRU ? OXP_CELL_GRU
                                          : OXP_CELL_RNN;
    out->acts = out->kind == OXP_CELL_LSTM ? 3 : out->kind == OXP_CELL_GRU ? 2 : 1;
    out->gates = out->kind == OXP_CELL_LSTM ? 4 : out->acts * 2 - 1;
    out->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
    out->reverse = strcmp(direction, "reverse") == 0;
    out->batch_first = oxp_attr_int(node, "layout", 0) != 0;
    out->linear = out->kind == OXP_CELL_GRU && oxp_attr_int(node, "linear_before_reset", 0) != 0;
    char a[OXP_SHAPE_TEXT], b[OXP_SHAPE_TEXT];
    OXP_NODE_FAIL_IF(ctx, node,
                     x->rank != 3 || r->rank != 3 || r->dim[0] != out->directions ||
                         r->dim[1] != out->gates * r->dim[2],
                     OXP_EINVAL,
                     "expects x of three axes and R of %lld directions with %d gates, found %s "
                     "and %s",
                     (long long)out->directions, out->gates, oxp_shape_text(x, a),
                     oxp_shape_text(r, b));
    out->steps = x->dim[out->batch_first ? 1 : 0];
    out->batch = x->dim[out->batch_first ? 0 : 1];
    out->inputs = x->dim[2];
    out->hidden = r->dim[2];
    OXP_NODE_FAIL_IF(ctx, node, oxp_attr_int(node, "hidden_size", out->hidden) != out->hidden,
                     OXP_EINVAL, "has hidden_size %lld, but R is for %lld",
                     (long long)oxp_attr_int(node, "hidden_size", 0), (long long)out->hidden);
    const oxp_attr *clip = oxp_attr_find(node, "clip");
    OXP_NODE_FAIL_IF(ctx, node, clip && !(clip->f > 0.0), OXP_EINVAL,
                     "has clip %g: expected a positive number", clip->f);
    return oxp_acts_read(ctx, node, out->kind, (int)out->directions, out->act);
}

static oxp_status check(const oxp_infer *inf, size_t i, const oxp_shape *want, oxp_dtype dtype)
{
    char a[OXP_SHAPE_TEXT], b[OXP_SHAPE_TEXT];
    if (!oxp_infer_has(inf, i)) return OXP_OK;
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     oxp_infer_dtype(inf, i) != dtype ||
                         !oxp_shape_equal(oxp_infer_shape(inf, i), want),
                     OXP_EINVAL, "expects %s%s as input %zu, found %s%s", oxp_dtype_name(dtype),
                     oxp_shape_text(want, a), i, oxp_dtype_name(oxp_infer_dtype(inf, i)),
                     oxp_shape_text(oxp_infer_shape(inf, i), b));
    return OXP_OK;
}

#define SHAPE2(m, n)       (&(oxp_shape){.rank = 2, .dim = {(m), (n)}})
#define SHAPE3(k, m, n)    (&(oxp_shape){.rank = 3, .dim = {(k), (m), (n)}})
#define SHAPE4(j, k, m, n) (&(oxp_shape){.rank = 4, .dim = {(j), (k), (m), (n)}})

static oxp_shape state_shape(const recurrent *r)
{
    return r->batch_first ? *SHAPE3(r->batch, r->directions, r->hidden)
                          : *SHAPE3(r->directions, r->batch, r->hidden);
}

static oxp_status infer_recurrent(oxp_infer *inf)
{
    recurrent r;
    OXP_TRY(oxp_infer_float(inf, X));
    OXP_TRY(
        read_recurrent(inf->ctx, inf->node, oxp_infer_shape(inf, X), oxp_infer_shape(inf, R), &r));
    const int64_t d = r.directions, n = r.hidden;
    const oxp_shape state = state_shape(&r), lengths = oxp_shape_of(1, &r.batch);
    OXP_TRY(check(inf, W, SHAPE3(d, r.gates * n, r.inputs), OXP_F32));
    OXP_TRY(check(inf, R, SHAPE3(d, r.gates * n, n), OXP_F32));
    OXP_TRY(check(inf, BIAS, SHAPE2(d, 2 * r.gates * n), OXP_F32));
    OXP_TRY(check(inf, LENGTHS, &lengths, OXP_I64));
    OXP_TRY(check(inf, H0, &state, OXP_F32));
    OXP_TRY(check(inf, C0, &state, OXP_F32));
    OXP_TRY(check(inf, P, SHAPE2(d, 3 * n), OXP_F32));
    const oxp_shape *y =
        r.batch_first ? SHAPE4(r.batch, r.steps, d, n) : SHAPE4(r.steps, d, r.batch, n);
    OXP_TRY(oxp_infer_out(inf, 0, OXP_F32, y));
    for (uint32_t i = 1; i < inf->node->n_out; i++) OXP_TRY(oxp_infer_out(inf, i, OXP_F32, &state));
    return OXP_OK;
}

/* ---- ref ---- */

static const double *given(const oxp_call *call, size_t i)
{
    return oxp_node_has(call->node, i) ? call->in[i] : NULL;
}

/* x W' + biases for direction d, with x in the order of its layout: a (S,B,gN) */
static void project(const oxp_call *call, const recurrent *r, int64_t d, double *a)
{
    const int64_t g = r->gates * r->hidden;
    const double *w = call->in[W] + d * g * r->inputs, *bias = given(call, BIAS);
    for (int64_t t = 0; t < r->steps; t++)
        for (int64_t b = 0; b < r->batch; b++)
            for (int64_t j = 0; j < g; j++) {
                const int64_t row = r->batch_first ? b * r->steps + t : t * r->batch + b;
                const bool inside = r->linear && j >= 2 * r->hidden; /* that bias is in p */
                double sum = 0.0;
                if (bias) sum = bias[d * 2 * g + j] + (inside ? 0.0 : bias[d * 2 * g + g + j]);
                for (int64_t k = 0; k < r->inputs; k++)
                    sum += call->in[X][row * r->inputs + k] * w[j * r->inputs + k];
                a[(t * r->batch + b) * g + j] = sum;
            }
}

/* Between the states of one direction (B,N) and those of all in the node's layout. */
static void move_state(const recurrent *r, int64_t d, const double *from, double *to, bool into_all)
{
    for (int64_t b = 0; b < r->batch; b++)
        for (int64_t k = 0; k < r->hidden; k++) {
            const int64_t one = b * r->hidden + k;
            const int64_t all =
                (r->batch_first ? b * r->directions + d : d * r->batch + b) * r->hidden + k;
            to[into_all ? all : one] = from[into_all ? one : all];
        }
}

static void move_series(const recurrent *r, int64_t d, const double *y, double *to)
{
    for (int64_t t = 0; t < r->steps; t++)
        for (int64_t b = 0; b < r->batch; b++)
            for (int64_t k = 0; k < r->hidden; k++) {
                const int64_t at = r->batch_first ? (b * r->steps + t) * r->directions + d
                                                  : (t * r->directions + d) * r->batch + b;
                to[at * r->hidden + k] = y[(t * r->batch + b) * r->hidden + k];
            }
}

typedef struct rooms { /* for one direction, in one block */
    double *a, *y, *z, *cs, *h0, *c0, *h, *c;
    int64_t *lens;
} rooms;

static oxp_status new_rooms(const oxp_call *call, const recurrent *r, rooms *m)
{
    const int64_t rows = r->steps * r->batch, state = r->batch * r->hidden;
    double *at = OXP_NEW(call->scratch, double, (size_t)(rows * r->hidden * 10 + 4 * state) + 1);
    m->lens = OXP_NEW(call->scratch, int64_t, (size_t)r->batch + 1);
    OXP_FAIL_IF(call->ctx, !at || !m->lens, OXP_ENOMEM, "out of memory");
    m->a = at;
    m->z = m->a + rows * r->hidden * 4;
    m->y = m->z + rows * r->hidden * 4;
    m->cs = m->y + rows * r->hidden;
    m->h0 = m->cs + rows * r->hidden;
    m->c0 = m->h0 + state;
    m->h = m->c0 + state;
    m->c = m->h + state;
    for (int64_t b = 0; given(call, LENGTHS) && b < r->batch; b++)
        m->lens[b] = (int64_t)call->in[LENGTHS][b];
    return OXP_OK;
}

static oxp_recurrence one_direction(const oxp_node *node, const recurrent *r, int64_t d)
{
    oxp_recurrence one = {.cell = r->kind,
                          .gates = r->gates,
                          .n_acts = r->acts,
                          .steps = r->steps,
                          .batch = r->batch,
                          .hidden = r->hidden,
                          .width = r->hidden * (r->linear ? 4 : r->gates),
                          .reverse = r->reverse || d == 1,
                          .linear_before_reset = r->linear,
                          .input_forget = oxp_attr_int(node, "input_forget", 0) != 0,
                          .clip = oxp_attr_float(node, "clip", 0.0)};
    memcpy(one.act, r->act + d * r->acts, (size_t)r->acts * sizeof(oxp_act));
    return one;
}

static oxp_status ref_recurrent(const oxp_call *call)
{
    recurrent r;
    rooms m;
    OXP_TRY(read_recurrent(call->ctx, call->node, &call->in_shape[X], &call->in_shape[R], &r));
    OXP_TRY(new_rooms(call, &r, &m));
    const int64_t g = r.gates * r.hidden;
    const double *h0 = given(call, H0), *c0 = given(call, C0), *p = given(call, P),
                 *bias = given(call, BIAS);
    for (int64_t d = 0; d < r.directions; d++) {
        const oxp_recurrence one = one_direction(call->node, &r, d);
        const double *inside = r.linear && bias ? bias + d * 2 * g + g + 2 * r.hidden : NULL;
        project(call, &r, d, m.a);
        if (h0) move_state(&r, d, h0, m.h0, false);
        if (c0) move_state(&r, d, c0, m.c0, false);
        const oxp_recurrence_data data = {.a = m.a,
                                          .r = call->in[R] + d * g * r.hidden,
                                          .h0 = h0 ? m.h0 : NULL,
                                          .c0 = c0 ? m.c0 : NULL,
                                          .p = p ? p + d * 3 * r.hidden : inside,
                                          .lens = given(call, LENGTHS) ? m.lens : NULL,
                                          .out_y = m.y,
                                          .out_z = m.z,
                                          .out_cs = r.kind == OXP_CELL_LSTM ? m.cs : NULL,
                                          .out_h = m.h,
                                          .out_c = m.c};
        OXP_TRY(oxp_recurrence_run(call->ctx, call->scratch, &one, &data));
        if (call->out[0]) move_series(&r, d, m.y, call->out[0]);
        if (call->node->n_out > 1 && call->out[1]) move_state(&r, d, m.h, call->out[1], true);
        if (call->node->n_out > 2 && call->out[2]) move_state(&r, d, m.c, call->out[2], true);
    }
    return OXP_OK;
}

/* ---- expand ---- */

static oxp_val input(const oxp_node *node, size_t i)
{
    return oxp_node_has(node, i) ? node->in[i] : OXP_NO_VAL;
}

/* Direction d of x along axis, without that axis. */
static oxp_val of_direction(oxp_build *b, oxp_val x, int64_t axis, int64_t d)
{
    if (x == OXP_NO_VAL || b->status != OXP_OK) return OXP_NO_VAL;
    oxp_shape rest = *oxp_b_shape(b, x);
    for (int a = (int)axis; a + 1 < rest.rank; a++) rest.dim[a] = rest.dim[a + 1];
    rest.rank--;
    return oxp_b_reshape(b, oxp_b_slice(b, x, axis, d, d + 1), &rest);
}

/* The biases of direction d: those added to x W', and what a GRU keeps inside its gate. */
static oxp_val biases(oxp_build *b, const recurrent *r, oxp_val bias, oxp_val *inside)
{
    const int64_t g = r->gates * r->hidden, two = 2 * r->hidden;
    const oxp_val wb = oxp_b_slice(b, bias, 0, 0, g), rb = oxp_b_slice(b, bias, 0, g, 2 * g);
    if (!r->linear) return oxp_b_add(b, wb, rb);
    const oxp_val parts[] = {
        oxp_b_add(b, oxp_b_slice(b, wb, 0, 0, two), oxp_b_slice(b, rb, 0, 0, two)),
        oxp_b_slice(b, wb, 0, two, g)};
    *inside = oxp_b_slice(b, rb, 0, two, g);
    return oxp_b_concat(b, parts, 2, 0);
}

/* The attributes of _Recurrence for direction d; names, alphas and betas have room for all. */
static size_t direction_attrs(oxp_build *b, const oxp_node *node, const recurrent *r, int64_t d,
                              oxp_attr *attrs)
{
    static const char *const names[] = {[OXP_ACT_AFFINE] = "Affine",
                                        [OXP_ACT_ELU] = "Elu",
                                        [OXP_ACT_HARD_SIGMOID] = "HardSigmoid",
                                        [OXP_ACT_LEAKY_RELU] = "LeakyRelu",
                                        [OXP_ACT_RELU] = "Relu",
                                        [OXP_ACT_SCALED_TANH] = "ScaledTanh",
                                        [OXP_ACT_SIGMOID] = "Sigmoid",
                                        [OXP_ACT_SOFTPLUS] = "Softplus",
                                        [OXP_ACT_SOFTSIGN] = "Softsign",
                                        [OXP_ACT_TANH] = "Tanh",
                                        [OXP_ACT_THRESHOLDED_RELU] = "ThresholdedRelu"};
    double *alpha = OXP_NEW(b->ctx->scratch, double, 3),
           *beta = OXP_NEW(b->ctx->scratch, double, 3);
    const oxp_act *act = r->act + d * r->acts;
    oxp_strbuf text;
    oxp_strbuf_init(&text, b->ctx->scratch);
    size_t n = 0, n_alpha = 0, n_beta = 0;
    for (int i = 0; alpha && beta && i < r->acts; i++) {
        oxp_act defaults;
        bool takes_alpha, takes_beta;
        const char *name = names[act[i].fn];
        oxp_act_find(name, strlen(name), &defaults, &takes_alpha, &takes_beta);
        oxp_strbuf_printf(&text, "%s%s", i ? "," : "", name);
        if (takes_alpha) alpha[n_alpha++] = act[i].alpha;
        if (takes_beta) beta[n_beta++] = act[i].beta;
    }
    const char *activations = oxp_strbuf_str(&text);
    if (!alpha || !beta || !activations) {
        b->status = oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
        return 0;
    }
    attrs[n++] = OXP_STR("cell", r->cell);
    attrs[n++] = OXP_STR("activations", activations);
    attrs[n++] = (oxp_attr){
        .name = "activation_alpha", .type = OXP_ATTR_FLOATS, .n = n_alpha, .floats = alpha};
    attrs[n++] =
        (oxp_attr){.name = "activation_beta", .type = OXP_ATTR_FLOATS, .n = n_beta, .floats = beta};
    attrs[n++] = OXP_INT("reverse", r->reverse || d == 1);
    attrs[n++] = OXP_INT("linear_before_reset", r->linear);
    attrs[n++] = OXP_INT("input_forget", oxp_attr_int(node, "input_forget", 0) != 0);
    if (oxp_attr_find(node, "clip"))
        attrs[n++] = OXP_FLOAT("clip", oxp_attr_float(node, "clip", 0.0));
    return n;
}

/* Direction d: outs as _Recurrence has them. */
static void expand_direction(oxp_build *b, const oxp_node *node, const recurrent *r, oxp_val x,
                             int64_t d, oxp_val outs[5])
{
    const int64_t g = r->gates * r->hidden, state_axis = r->batch_first ? 1 : 0;
    oxp_val inside = OXP_NO_VAL;
    const oxp_val w =
        oxp_b_transpose(b, of_direction(b, node->in[W], 0, d), (const int64_t[]){1, 0});
    oxp_val a = oxp_b_matmul(b, x, w);
    if (input(node, BIAS))
        a = oxp_b_add(b, a, biases(b, r, of_direction(b, node->in[BIAS], 0, d), &inside));
    a = oxp_b_reshape(b, a, SHAPE3(r->steps, r->batch, g));
    const oxp_val in[] = {a,
                          of_direction(b, node->in[R], 0, d),
                          of_direction(b, input(node, H0), state_axis, d),
                          of_direction(b, input(node, C0), state_axis, d),
                          input(node, P) ? of_direction(b, node->in[P], 0, d) : inside,
                          input(node, LENGTHS)};
    size_t n_in = OXP_COUNT(in);
    while (n_in > 2 && in[n_in - 1] == OXP_NO_VAL) n_in--;
    oxp_attr attrs[8];
    const size_t n_attrs = direction_attrs(b, node, r, d, attrs);
    oxp_emit_multi(b, &oxp_op__Recurrence, in, n_in, attrs, n_attrs,
                   r->kind == OXP_CELL_LSTM ? 5 : 3, outs);
}

/* The results of all directions as the node's layout has them; like: shape of one. */
static oxp_val join(oxp_build *b, const recurrent *r, oxp_val outs[2][5], int which, bool series)
{
    oxp_val parts[2];
    const oxp_shape *one =
        series ? SHAPE4(r->steps, 1, r->batch, r->hidden) : SHAPE3(1, r->batch, r->hidden);
    for (int64_t d = 0; d < r->directions; d++) parts[d] = oxp_b_reshape(b, outs[d][which], one);
    const oxp_val all = oxp_b_concat(b, parts, (size_t)r->directions, series ? 1 : 0);
    if (!r->batch_first) return all;
    return oxp_b_transpose(b, all,
                           series ? (const int64_t[]){2, 0, 1, 3} : (const int64_t[]){1, 0, 2});
}

static oxp_status expand_recurrent(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    recurrent r;
    oxp_val outs[2][5] = {{OXP_NO_VAL}, {OXP_NO_VAL}}, x = node->in[X];
    OXP_TRY(b->status);
    OXP_TRY(read_recurrent(b->ctx, node, oxp_b_shape(b, x), oxp_b_shape(b, node->in[R]), &r));
    if (r.batch_first) x = oxp_b_transpose(b, x, (const int64_t[]){1, 0, 2});
    x = oxp_b_reshape(b, x, SHAPE2(r.steps * r.batch, r.inputs));
    for (int64_t d = 0; d < r.directions; d++) expand_direction(b, node, &r, x, d, outs[d]);
    out[0] = join(b, &r, outs, 0, true);
    if (node->n_out > 1) out[1] = join(b, &r, outs, 1, false);
    if (node->n_out > 2) out[2] = join(b, &r, outs, 2, false);
    return b->status;
}

/* ---- descriptors ---- */

/* clang-format off */
#define ATTRS                                                                                     \
    {"activations", OXP_ATTR_STRINGS, NULL}, {"activation_alpha", OXP_ATTR_FLOATS, NULL},         \
    {"activation_beta", OXP_ATTR_FLOATS, NULL}, {"clip", OXP_ATTR_FLOAT, NULL},                   \
    {"direction", OXP_ATTR_STRING, "forward,reverse,bidirectional"},                              \
    {"hidden_size", OXP_ATTR_INT, NULL}, {"layout", OXP_ATTR_INT, "0,1"}
static const oxp_attr_spec rnn_attrs[] = {ATTRS, {NULL, OXP_ATTR_INT, NULL}};
static const oxp_attr_spec gru_attrs[] = {
    ATTRS, {"linear_before_reset", OXP_ATTR_INT, NULL}, {NULL, OXP_ATTR_INT, NULL}};
static const oxp_attr_spec lstm_attrs[] = {
    ATTRS, {"input_forget", OXP_ATTR_INT, NULL}, {NULL, OXP_ATTR_INT, NULL}};

#define RECURRENT(symbol, inputs, outputs, specs)                                                 \
    const oxp_op oxp_op_##symbol = {                                                              \
        .name = #symbol, .min_in = 3, .max_in = inputs, .min_out = 1, .max_out = outputs,         \
        .since = 7, .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN, .attrs = specs,                      \
        .infer = infer_recurrent, .ref = ref_recurrent, .expand = expand_recurrent}
RECURRENT(RNN, 6, 2, rnn_attrs);
RECURRENT(GRU, 6, 2, gru_attrs);
RECURRENT(LSTM, N_IN, 3, lstm_attrs);
/* clang-format on */
