/* unroll_scan.c - Scan while specialising: its body once for each cell of what it scans.
 *
 * At opset 8 it scans each item of a batch apart, which may have a length of its own. */
#include "ops/infer.h"
#include "ops/unroll.h"

#include <string.h>

/* ---- Scan (state..., scanned...; captures) -> state..., series... ----
 * body (state..., one cell of each scanned) -> state..., one cell of each series */

typedef struct scanning {
    const oxp_node *node;
    oxp_unrolled b;
    size_t n_state, n_scanned, n_series, n_out;
    int64_t length; /* of what is scanned */
    bool ran;
    oxp_val *in, *out; /* of the body */
    oxp_dtype *in_type, *out_type;
} scanning;

static int64_t listed(const oxp_node *node, const char *attr, size_t i, int64_t fallback)
{
    size_t n;
    const int64_t *list = oxp_attr_ints(node, attr, &n);
    return i < n ? list[i] : fallback;
}

static oxp_status open_scan(oxp_specialiser *s, const oxp_node *node, size_t first, scanning *c)
{
    const size_t captures = (size_t)oxp_attr_int(node, "captures", 0);
    const size_t own = node->n_in - captures - first;
    const int64_t scanned = oxp_attr_int(node, "num_scan_inputs", 0);
    const oxp_attr *a = oxp_attr_find(node, "body");
    *c = (scanning){.node = node, .n_scanned = (size_t)scanned};
    c->n_out = a && a->type == OXP_ATTR_GRAPH ? a->g->n_outputs : 0;
    OXP_NODE_FAIL_IF(s->ctx, node, scanned < 1 || (size_t)scanned > own, OXP_ECORRUPT,
                     "scans %lld of its %zu inputs", (long long)scanned, own);
    c->n_state = own - c->n_scanned;
    OXP_NODE_FAIL_IF(s->ctx, node, c->n_out < c->n_state || node->n_out > c->n_out, OXP_ECORRUPT,
                     "has %zu states and %u outputs, its body makes %zu", c->n_state, node->n_out,
                     c->n_out);
    c->n_series = c->n_out - c->n_state;
    bool *wanted;
    OXP_TRY(oxp_unroll_wanted(s, node, 0, &wanted));
    bool *all = OXP_NEW(s->ctx->scratch, bool, c->n_out + 1);
    c->in = OXP_NEW(s->ctx->scratch, oxp_val, own + 1);
    c->in_type = OXP_NEW(s->ctx->scratch, oxp_dtype, own + 1);
    c->out = OXP_NEW(s->ctx->scratch, oxp_val, c->n_out + 1);
    c->out_type = OXP_NEW(s->ctx->scratch, oxp_dtype, c->n_out + 1);
    OXP_FAIL_IF(s->ctx, !all || !c->in || !c->in_type || !c->out || !c->out_type, OXP_ENOMEM,
                "out of memory");
    for (size_t i = 0; i < own; i++) c->in_type[i] = s->at->type[node->in[first + i]];
    for (size_t i = 0; i < c->n_out; i++) all[i] = i < c->n_state || (i < node->n_out && wanted[i]);
    return oxp_body_open(s, node, "body", all, c->n_out, false, &c->b);
}

/* x without `axis`, at cell i. */
static oxp_val cell(oxp_specialiser *s, oxp_val x, int axis, int64_t i)
{
    if (s->b.status != OXP_OK) return OXP_NO_VAL;
    oxp_shape rest = *oxp_b_shape(&s->b, x);
    for (int a = axis; a + 1 < rest.rank; a++) rest.dim[a] = rest.dim[a + 1];
    rest.rank--;
    return oxp_b_reshape(&s->b, oxp_b_slice(&s->b, x, axis, i, i + 1), &rest);
}

/* Axes of what is scanned, and its length. */
static oxp_status measure(oxp_specialiser *s, scanning *c, const oxp_val *x, int **out)
{
    const oxp_node *node = c->node;
    int *axis = *out = OXP_NEW(s->ctx->scratch, int, c->n_scanned + 1);
    OXP_NOMEM_IF(s->ctx, axis);
    for (size_t k = 0; k < c->n_scanned; k++) {
        const oxp_shape *shape = oxp_b_shape(&s->b, x[k]);
        OXP_TRY(
            oxp_norm_axis(s->ctx, listed(node, "scan_input_axes", k, 0), shape->rank, &axis[k]));
        if (k == 0) c->length = shape->dim[axis[0]];
        OXP_NODE_FAIL_IF(s->ctx, node, shape->dim[axis[k]] != c->length, OXP_EINVAL,
                         "scans %lld cells of one input and %lld of another", (long long)c->length,
                         (long long)shape->dim[axis[k]]);
    }
    OXP_NODE_FAIL_IF(s->ctx, node, c->length > OXP_MAX_TRIPS, OXP_ELIMIT, "runs more than %d times",
                     OXP_MAX_TRIPS);
    return OXP_OK;
}

/* Runs the whole scan: c->in holds the states, `x` what is scanned, of which the first *limit cells count
 * (NULL: all); results in outs, OXP_NO_VAL for a series of no cells. */
static oxp_status scan(oxp_specialiser *s, scanning *c, const oxp_val *x, const int64_t *limit,
                       oxp_val *outs)
{
    const oxp_node *node = c->node;
    const bool batched = oxp_attr_int(node, "batched", 0) != 0;
    const char *directions = batched ? "directions" : "scan_input_directions";
    oxp_series *all = OXP_NEW(s->ctx->scratch, oxp_series, c->n_series + 1);
    int *axis;
    OXP_NOMEM_IF(s->ctx, all);
    OXP_TRY(measure(s, c, x, &axis));
    const int64_t n = limit ? *limit : c->length;
    OXP_NODE_FAIL_IF(s->ctx, node, n < 0 || n > c->length, OXP_EINVAL, "scans %lld of %lld cells",
                     (long long)n, (long long)c->length);
    c->ran = c->ran || n > 0;
    for (int64_t t = 0; t < n; t++) {
        for (size_t k = 0; k < c->n_scanned; k++) {
            const bool back = listed(node, directions, k, 0) != 0;
            c->in[c->n_state + k] = cell(s, x[k], axis[k], back ? n - 1 - t : t);
        }
        OXP_TRY(s->b.status);
        OXP_TRY(oxp_body_run(s, node, &c->b, c->in, c->in_type, c->n_state + c->n_scanned, c->out,
                             c->out_type));
        for (size_t k = 0; k < c->n_state; k++) c->in[k] = c->out[k];
        for (size_t k = 0; k < c->n_series; k++)
            if (c->out[c->n_state + k]) OXP_TRY(oxp_series_add(s, &all[k], c->out[c->n_state + k]));
    }
    for (size_t i = 0; i < node->n_out; i++) {
        const size_t k = i - c->n_state;
        outs[i] = i < c->n_state ? c->in[i] : OXP_NO_VAL;
        if (i >= c->n_state && all[k].n)
            OXP_TRY(oxp_series_join(s, node, &all[k], listed(node, "scan_output_axes", k, 0),
                                    listed(node, "scan_output_directions", k, 0) != 0, &outs[i]));
    }
    return OXP_OK;
}

static oxp_status scan_types(oxp_specialiser *s, const scanning *c, oxp_dtype *types)
{
    OXP_NODE_FAIL_IF(s->ctx, c->node, !c->ran && c->node->n_out > c->n_state, OXP_EUNSUPPORTED,
                     "scans %s", "nothing, and the shape of its results is open");
    for (size_t i = 0; i < c->node->n_out; i++)
        types[i] = i < c->n_state && !c->ran ? c->in_type[i] : c->out_type[i];
    return OXP_OK;
}

static oxp_status unroll_scan(oxp_specialiser *s, const oxp_node *node, oxp_val *outs,
                              oxp_dtype *types)
{
    scanning c;
    OXP_TRY(open_scan(s, node, 0, &c));
    oxp_val *x = OXP_NEW(s->ctx->scratch, oxp_val, c.n_scanned + 1);
    OXP_NOMEM_IF(s->ctx, x);
    for (size_t i = 0; i < c.n_state; i++) c.in[i] = s->at->map[node->in[i]];
    for (size_t i = 0; i < c.n_scanned; i++) x[i] = s->at->map[node->in[c.n_state + i]];
    OXP_TRY(scan(s, &c, x, NULL, outs));
    return scan_types(s, &c, types);
}

/* What each item made, stacked: a series of fewer cells than the longest ends in zeros. */
static oxp_status stack(oxp_specialiser *s, const scanning *c, oxp_val *const *made, int64_t batch,
                        uint32_t k, oxp_val *out)
{
    oxp_series items = {0};
    oxp_val like = OXP_NO_VAL;
    for (int64_t b = 0; b < batch; b++)
        if (made[b][k] != OXP_NO_VAL) like = made[b][k];
    if (like == OXP_NO_VAL) return OXP_OK;
    oxp_shape whole = *oxp_b_shape(&s->b, like);
    if (k >= c->n_state) whole.dim[0] = c->length;
    for (int64_t b = 0; b < batch; b++) {
        oxp_val v = made[b][k];
        if (v == OXP_NO_VAL)
            v = oxp_b_cast(&s->b, oxp_b_full(&s->b, &whole, 0.0),
                           oxp_value_of(s->b.g, like)->dtype);
        else if (k >= c->n_state)
            v = oxp_b_pad_zero(&s->b, v, 0, 0, c->length - oxp_b_shape(&s->b, v)->dim[0]);
        OXP_TRY(s->b.status);
        OXP_TRY(oxp_series_add(s, &items, v));
    }
    return oxp_series_join(s, c->node, &items, 0, false, out);
}

/* Opset 8: lengths first, and a batch axis before everything; one scan per item, stacked. */
static oxp_status unroll_batched_scan(oxp_specialiser *s, const oxp_node *node, oxp_val *outs,
                                      oxp_dtype *types)
{
    scanning c;
    int64_t *lengths = NULL;
    OXP_NODE_FAIL_IF(s->ctx, node, node->n_in < 2, OXP_ECORRUPT, "has %u inputs", node->n_in);
    OXP_TRY(open_scan(s, node, 1, &c));
    const oxp_val first = s->at->map[node->in[1]];
    OXP_NODE_FAIL_IF(s->ctx, node, oxp_b_shape(&s->b, first)->rank == 0, OXP_EINVAL, "has no %s",
                     "batch axis");
    const int64_t batch = oxp_b_shape(&s->b, first)->dim[0];
    OXP_NODE_FAIL_IF(s->ctx, node, batch == 0, OXP_EUNSUPPORTED, "has an empty %s", "batch");
    if (node->in[0] != OXP_NO_VAL)
        OXP_TRY(oxp_unroll_numbers(s, node, "lengths", s->at->map[node->in[0]], batch, &lengths));
    oxp_val *x = OXP_NEW(s->ctx->scratch, oxp_val, c.n_scanned + 1);
    oxp_val **made = OXP_NEW(s->ctx->scratch, oxp_val *, (size_t)batch);
    OXP_FAIL_IF(s->ctx, !x || !made, OXP_ENOMEM, "out of memory");
    for (int64_t b = 0; b < batch; b++) {
        made[b] = OXP_NEW(s->ctx->scratch, oxp_val, node->n_out + 1);
        OXP_NOMEM_IF(s->ctx, made[b]);
        for (size_t i = 0; i < c.n_state + c.n_scanned; i++) {
            const oxp_val v = cell(s, s->at->map[node->in[1 + i]], 0, b);
            *(i < c.n_state ? &c.in[i] : &x[i - c.n_state]) = v;
        }
        OXP_TRY(s->b.status);
        OXP_TRY(scan(s, &c, x, lengths ? &lengths[b] : NULL, made[b]));
    }
    for (uint32_t k = 0; k < node->n_out; k++) OXP_TRY(stack(s, &c, made, batch, k, &outs[k]));
    return scan_types(s, &c, types);
}

oxp_status oxp_unroll_scan(oxp_specialiser *s, const oxp_node *node, oxp_val *outs,
                           oxp_dtype *types)
{
    return oxp_attr_int(node, "batched", 0) ? unroll_batched_scan(s, node, outs, types)
                                            : unroll_scan(s, node, outs, types);
}
