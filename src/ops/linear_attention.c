/* linear_attention.c - LinearAttention: attention without a softmax, as a recurrence over a state.
 *
 *   S_t = exp(g_t) S_{t-1} + k_t u_t'      g: decay (gated rules), else 0
 *   u_t = v_t, or beta_t (v_t - (exp(g_t) S_{t-1})' k_t)      (delta rules)
 *   o_t = scale S_t' q_t
 *
 * with one state (keys, values) for each head of k and v; heads of q in a row share it. Packed as
 * (B, T, heads * cells). Specialisation puts T steps in its place: the adjoint is theirs. */
#include "ops/infer.h"

#include <math.h>
#include <string.h>

enum { Q, K, V, PAST, DECAY, BETA, INPUTS };
enum { MAX_STEPS = 1 << 14 };

typedef struct linear {
    int64_t batch, steps, heads, group; /* of k and v; of q for each of them */
    int64_t d, e;                       /* cells of a key and of a value */
    int64_t decays, betas; /* numbers per step: a head or key cell each; a head each or one */
    bool gated, delta;
    double scale;
} linear;

/* (B, T, parts * ?) */
static bool is_packed(const oxp_shape *s, const linear *l, int64_t parts)
{
    return s->rank == 3 && s->dim[0] == l->batch && s->dim[1] == l->steps && s->dim[2] % parts == 0;
}

static oxp_status read_rule(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *const *in,
                            linear *l)
{
    const char *rule = oxp_attr_string(node, "update_rule", "gated_delta");
    l->gated = strncmp(rule, "gated", 5) == 0;
    l->delta = strstr(rule, "delta") != NULL;
    OXP_NODE_FAIL_IF(ctx, node, l->gated != (in[DECAY] != NULL), OXP_EINVAL,
                     "%s a decay by rule %s", l->gated ? "lacks" : "has no use for", rule);
    OXP_NODE_FAIL_IF(ctx, node, l->delta != (in[BETA] != NULL), OXP_EINVAL, "%s a beta by rule %s",
                     l->delta ? "lacks" : "has no use for", rule);
    return OXP_OK;
}

static oxp_status read_linear(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *const *in,
                              linear *l)
{
    const oxp_shape *q = in[Q], *decay = in[DECAY], *beta = in[BETA];
    const int64_t q_heads = oxp_attr_int(node, "q_num_heads", 0);
    *l = (linear){.heads = oxp_attr_int(node, "kv_num_heads", 0)};
    OXP_NODE_FAIL_IF(ctx, node,
                     l->heads < 1 || q_heads < 1 || q_heads % l->heads != 0 || q_heads > INT32_MAX,
                     OXP_EINVAL, "has %lld heads of queries for %lld of keys", (long long)q_heads,
                     (long long)l->heads);
    OXP_TRY(read_rule(ctx, node, in, l));
    l->group = q_heads / l->heads;
    if (q->rank == 3) {
        l->batch = q->dim[0];
        l->steps = q->dim[1];
        l->d = q->dim[2] / q_heads;
    }
    bool fits = is_packed(q, l, q_heads) && is_packed(in[K], l, l->heads) &&
                is_packed(in[V], l, l->heads) && in[K]->dim[2] == l->d * l->heads;
    if (fits) l->e = in[V]->dim[2] / l->heads;
    const oxp_shape state = {.rank = 4, .dim = {l->batch, l->heads, l->d, l->e}};
    fits = fits && (!in[PAST] || oxp_shape_equal(in[PAST], &state));
    if (fits && decay) {
        l->decays = decay->dim[decay->rank - 1];
        fits = is_packed(decay, l, l->heads) &&
               (l->decays == l->heads || l->decays == l->heads * l->d);
    }
    if (fits && beta) {
        l->betas = beta->dim[beta->rank - 1];
        fits = is_packed(beta, l, 1) && (l->betas == l->heads || l->betas == 1);
    }
    OXP_NODE_FAIL_IF(ctx, node, !fits, OXP_EINVAL, "has %s that do not fit together for its heads",
                     "queries, keys, values, a state or gates");
    OXP_NODE_FAIL_IF(ctx, node, l->steps > MAX_STEPS, OXP_ELIMIT, "takes more than %d steps",
                     MAX_STEPS);
    const double scale = oxp_attr_float(node, "scale", 0.0);
    l->scale = scale < 0.0 || scale > 0.0 ? scale : 1.0 / sqrt((double)l->d);
    return OXP_OK;
}

static oxp_status infer_linear(oxp_infer *inf)
{
    const oxp_shape *in[INPUTS] = {NULL};
    linear l;
    for (uint32_t i = 0; i < inf->node->n_in; i++) {
        if (!oxp_infer_has(inf, i)) continue;
        OXP_TRY(oxp_infer_float(inf, i));
        in[i] = oxp_infer_shape(inf, i);
    }
    OXP_TRY(read_linear(inf->ctx, inf->node, in, &l));
    const oxp_shape y = {.rank = 3, .dim = {l.batch, l.steps, l.heads * l.group * l.e}};
    const oxp_shape state = {.rank = 4, .dim = {l.batch, l.heads, l.d, l.e}};
    OXP_TRY(oxp_infer_out(inf, 0, OXP_F32, &y));
    return inf->node->n_out < 2 ? OXP_OK : oxp_infer_out(inf, 1, OXP_F32, &state);
}

/* ---- ref ---- */

/* State (d, e) of head n of item b meets step t, whose row of any operand is b T + t; u: room for e numbers. */
static void step(const oxp_call *call, const linear *l, int64_t row, int64_t n, double *s,
                 double *u)
{
    const double *k = call->in[K] + (row * l->heads + n) * l->d;
    const double *v = call->in[V] + (row * l->heads + n) * l->e;
    for (int64_t i = 0; l->gated && i < l->d; i++) {
        const int64_t at = l->decays == l->heads ? n : n * l->d + i;
        for (int64_t j = 0; j < l->e; j++)
            s[i * l->e + j] *= exp(call->in[DECAY][row * l->decays + at]);
    }
    for (int64_t j = 0; j < l->e; j++) {
        u[j] = v[j];
        for (int64_t i = 0; l->delta && i < l->d; i++) u[j] -= s[i * l->e + j] * k[i];
        if (l->delta) u[j] *= call->in[BETA][row * l->betas + (l->betas == 1 ? 0 : n)];
    }
    for (int64_t i = 0; i < l->d; i++)
        for (int64_t j = 0; j < l->e; j++) s[i * l->e + j] += k[i] * u[j];
    for (int64_t h = n * l->group; call->out[0] && h < (n + 1) * l->group; h++) {
        const int64_t to = row * l->heads * l->group + h;
        for (int64_t j = 0; j < l->e; j++) {
            double y = 0.0;
            for (int64_t i = 0; i < l->d; i++) y += call->in[Q][to * l->d + i] * s[i * l->e + j];
            call->out[0][to * l->e + j] = l->scale * y;
        }
    }
}

static oxp_status ref_linear(const oxp_call *call)
{
    const oxp_shape *in[INPUTS] = {NULL};
    linear l;
    for (uint32_t i = 0; i < call->node->n_in; i++)
        if (call->in[i]) in[i] = &call->in_shape[i];
    OXP_TRY(read_linear(call->ctx, call->node, in, &l));
    const size_t cells = (size_t)(l.d * l.e);
    double *s = OXP_NEW(call->scratch, double, cells + 1);
    double *u = OXP_NEW(call->scratch, double, (size_t)l.e + 1);
    OXP_FAIL_IF(call->ctx, !s || !u, OXP_ENOMEM, "out of memory");
    for (int64_t i = 0; i < l.batch * l.heads; i++) {
        const int64_t b = i / l.heads, n = i % l.heads;
        for (size_t c = 0; c < cells; c++)
            s[c] = in[PAST] ? call->in[PAST][(size_t)i * cells + c] : 0.0;
        for (int64_t t = 0; t < l.steps; t++) step(call, &l, b * l.steps + t, n, s, u);
        if (call->node->n_out > 1 && call->out[1])
            memcpy(call->out[1] + (size_t)i * cells, s, cells * sizeof *s);
    }
    return OXP_OK;
}

/* ---- expand ---- */

#define SHAPE4(j, k, m, n) (&(oxp_shape){.rank = 4, .dim = {(j), (k), (m), (n)}})

/* (B,T,heads * rows * cells) as one (B,heads,rows,cells) for each step. Split, since its adjoint joins
 * all steps at once. */
static oxp_status by_step(oxp_build *b, const linear *l, oxp_val x, int64_t heads, int64_t rows,
                          int64_t cells, oxp_val **out)
{
    const oxp_shape apart = {.rank = 5, .dim = {l->batch, l->steps, heads, rows, cells}};
    const oxp_attr axis = OXP_INT("axis", 0);
    *out = OXP_NEW(b->ctx->scratch, oxp_val, (size_t)l->steps + 1);
    OXP_NOMEM_IF(b->ctx, *out);
    x = oxp_b_transpose(b, oxp_b_reshape(b, x, &apart), (const int64_t[]){1, 0, 2, 3, 4});
    x = oxp_b_reshape(b, x, SHAPE4(l->steps * l->batch, heads, rows, cells));
    return oxp_emit_multi(b, &oxp_op_Split, &x, 1, &axis, 1, (size_t)l->steps, *out);
}

static oxp_status expand_linear(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape *in[INPUTS] = {NULL};
    oxp_val *q, *k, *v, *g = NULL, *beta = NULL;
    linear l;
    OXP_TRY(b->status);
    for (uint32_t i = 0; i < node->n_in; i++)
        if (oxp_node_has(node, i)) in[i] = oxp_b_shape(b, node->in[i]);
    OXP_TRY(read_linear(b->ctx, node, in, &l));
    const oxp_shape y = {.rank = 3, .dim = {l.batch, l.steps, l.heads * l.group * l.e}};
    const oxp_shape apart = {.rank = 5, .dim = {l.steps, l.batch, l.heads, l.group, l.e}};
    oxp_val s = in[PAST] ? node->in[PAST] : OXP_NO_VAL;
    OXP_TRY(by_step(b, &l, oxp_b_mul(b, node->in[Q], oxp_b_scalar(b, l.scale)), l.heads, l.group,
                    l.d, &q));
    OXP_TRY(by_step(b, &l, node->in[K], l.heads, l.d, 1, &k));
    OXP_TRY(by_step(b, &l, node->in[V], l.heads, 1, l.e, &v));
    if (l.gated)
        OXP_TRY(by_step(b, &l, oxp_b_unary(b, &oxp_op_Exp, node->in[DECAY]), l.heads,
                        l.decays / l.heads, 1, &g));
    if (l.delta) OXP_TRY(by_step(b, &l, node->in[BETA], l.betas, 1, 1, &beta));
    for (int64_t t = 0; t < l.steps; t++) {
        oxp_val u = v[t];
        if (g && s) s = oxp_b_mul(b, s, g[t]);
        if (beta && s) {
            const oxp_val row = oxp_b_reshape(b, k[t], SHAPE4(l.batch, l.heads, 1, l.d));
            u = oxp_b_sub(b, u, oxp_b_matmul(b, row, s));
        }
        if (beta) u = oxp_b_mul(b, beta[t], u);
        const oxp_val written = oxp_b_mul(b, k[t], u);
        s = s ? oxp_b_add(b, s, written) : written;
        q[t] = oxp_b_matmul(b, q[t], s);
    }
    out[0] = oxp_b_reshape(b, oxp_b_concat(b, q, (size_t)l.steps, 0), &apart);
    out[0] = oxp_b_transpose(b, out[0], (const int64_t[]){1, 0, 2, 3, 4});
    out[0] = oxp_b_reshape(b, out[0], &y);
    if (node->n_out > 1) out[1] = s;
    return b->status;
}

/* ---- descriptor ---- */

/* clang-format off */
static const oxp_attr_spec linear_attrs[] = { /* chunk_size: a hint for speed */
    {"chunk_size", OXP_ATTR_INT, NULL}, {"kv_num_heads", OXP_ATTR_INT, NULL}, {"q_num_heads", OXP_ATTR_INT, NULL},
    {"scale", OXP_ATTR_FLOAT, NULL}, {"update_rule", OXP_ATTR_STRING, "linear,gated,delta,gated_delta"},
    {NULL, OXP_ATTR_INT, NULL}};
const oxp_op oxp_op_LinearAttention = {
    .name = "LinearAttention", .min_in = 3, .max_in = 6, .min_out = 1, .max_out = 2, .since = 27,
    .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN, .attrs = linear_attrs, .infer = infer_linear,
    .ref = ref_linear, .expand = expand_linear};
/* clang-format on */
