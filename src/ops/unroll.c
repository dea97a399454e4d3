/* unroll.c - If, Loop and Scan while specialising: the branch that runs, or the body once for each time
 * that it runs, stands in the place of the node.
 *
 * Conditions and numbers of trips are known then: they follow from constants and shapes, from integers
 * that are asked for, or were computed from the data at hand (pin.c). Scan outputs are joined. A body
 * that never runs is emitted once and taken back, to know the shapes of what it would have made. */
#include "ops/infer.h"
#include "ops/special.h"

#include <string.h>

enum {
    MAX_TRIPS = 1 << 16,
    MAX_UNROLLED = 1 << 18 /* nodes */
};

/* ---- one graph in the place of a node ---- */

/* A branch or body about to run, perhaps several times. */
typedef struct body {
    const oxp_graph *g;
    size_t n_captures;
    const oxp_val *captures; /* new values */
    const oxp_dtype *types;  /* of the captures */
    oxp_level level;
    oxp_val *constants; /* the level's map before it runs */
} body;

static oxp_status open_body(oxp_specialiser *s, const oxp_node *node, const char *attr,
                            const bool *wanted, size_t n_wanted, bool named, body *out)
{
    const oxp_attr *a = oxp_attr_find(node, attr);
    const size_t n = (size_t)oxp_attr_int(node, "captures", 0);
    OXP_NODE_FAIL_IF(s->ctx, node, !a || a->type != OXP_ATTR_GRAPH, OXP_ECORRUPT, "lacks its %s",
                     attr);
    const oxp_graph *g = a->g;
    OXP_NODE_FAIL_IF(s->ctx, node, n > node->n_in || n > g->n_inputs, OXP_EINTERNAL,
                     "says that it captures %zu tensors", n);
    *out = (body){.g = g, .n_captures = n};
    oxp_arena *tmp = s->ctx->scratch;
    oxp_val *captures = OXP_NEW(tmp, oxp_val, n + 1);
    oxp_dtype *types = OXP_NEW(tmp, oxp_dtype, n + 1);
    oxp_level *level = &out->level;
    *level = (oxp_level){.graph = g,
                         .map = OXP_NEW(tmp, oxp_val, g->n_values),
                         .type = OXP_NEW(tmp, oxp_dtype, g->n_values),
                         .needed = OXP_NEW(tmp, bool, g->n_values),
                         .named = named};
    out->constants = OXP_NEW(tmp, oxp_val, g->n_values);
    OXP_FAIL_IF(s->ctx,
                !captures || !types || !level->map || !level->type || !level->needed ||
                    !out->constants,
                OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        captures[i] = s->at->map[node->in[node->n_in - n + i]];
        types[i] = s->at->type[node->in[node->n_in - n + i]];
    }
    out->captures = captures;
    out->types = types;
    for (size_t i = 0; i < g->n_outputs && i < n_wanted; i++)
        level->needed[g->outputs[i]] = level->needed[g->outputs[i]] || wanted[i];
    OXP_TRY(oxp_level_begin(s, level));
    memcpy(out->constants, level->map, g->n_values * sizeof(oxp_val));
    return OXP_OK;
}

/* Runs it once on `in`, its own inputs, of these types. outs: [g->n_outputs], OXP_NO_VAL where not
 * needed; their types replace those in `types`. */
static oxp_status run_body(oxp_specialiser *s, const oxp_node *node, body *b, const oxp_val *in,
                           const oxp_dtype *in_type, size_t n_in, oxp_val *outs, oxp_dtype *types)
{
    const oxp_graph *g = b->g;
    oxp_level *level = &b->level;
    OXP_NODE_FAIL_IF(s->ctx, node, n_in + b->n_captures != g->n_inputs, OXP_ECORRUPT,
                     "gives its body %zu inputs, the body has %zu", n_in,
                     g->n_inputs - b->n_captures);
    s->n_unrolled += g->n_nodes;
    OXP_NODE_FAIL_IF(s->ctx, node, s->n_unrolled > MAX_UNROLLED, OXP_ELIMIT,
                     "makes more than %d nodes with all its trips: use a shorter input",
                     MAX_UNROLLED);
    memcpy(level->map, b->constants, g->n_values * sizeof(oxp_val));
    for (size_t i = 0; i < g->n_inputs; i++) {
        level->map[g->inputs[i]] = i < n_in ? in[i] : b->captures[i - n_in];
        level->type[g->inputs[i]] = i < n_in ? in_type[i] : b->types[i - n_in];
    }
    OXP_TRY(oxp_level_emit(s, level));
    for (size_t i = 0; i < g->n_outputs; i++) {
        outs[i] = level->needed[g->outputs[i]] ? level->map[g->outputs[i]] : OXP_NO_VAL;
        types[i] = level->type[g->outputs[i]];
    }
    s->ctx->node = s->b.origin = node->origin;
    s->ctx->op = node->op->name;
    return OXP_OK;
}

/* The one number behind new value v. */
static oxp_status known_number(oxp_specialiser *s, const oxp_node *node, const char *what,
                               oxp_val v, int64_t *out)
{
    oxp_val known;
    OXP_NODE_FAIL_IF(s->ctx, node, v == OXP_NO_VAL, OXP_EINVAL, "lacks its %s", what);
    OXP_TRY(oxp_pin_values(s, node, what, &v, 1, &known));
    const oxp_tensor *t = oxp_value_of(s->b.g, known)->constant;
    OXP_NODE_FAIL_IF(s->ctx, node, oxp_shape_elements(&t->shape) != 1, OXP_EINVAL,
                     "takes one number as its %s", what);
    *out = oxp_tensor_get_int(t, 0);
    return OXP_OK;
}

static oxp_status wanted_outputs(oxp_specialiser *s, const oxp_node *node, size_t room, bool **out)
{
    *out = OXP_NEW(s->ctx->scratch, bool, room + node->n_out + 1);
    OXP_NOMEM_IF(s->ctx, *out);
    for (uint32_t i = 0; i < node->n_out; i++)
        (*out)[room + i] = node->out[i] != OXP_NO_VAL && s->at->needed[node->out[i]];
    return OXP_OK;
}

/* ---- If ---- */

static oxp_status unroll_if(oxp_specialiser *s, const oxp_node *node, oxp_val *outs,
                            oxp_dtype *types)
{
    int64_t condition;
    bool *wanted;
    body branch;
    OXP_TRY(known_number(s, node, "condition", s->at->map[node->in[0]], &condition));
    OXP_TRY(wanted_outputs(s, node, 0, &wanted));
    OXP_TRY(open_body(s, node, condition ? "then_branch" : "else_branch", wanted, node->n_out,
                      s->at->named, &branch));
    oxp_val *made = OXP_NEW(s->ctx->scratch, oxp_val, branch.g->n_outputs + 1);
    oxp_dtype *made_type = OXP_NEW(s->ctx->scratch, oxp_dtype, branch.g->n_outputs + 1);
    OXP_FAIL_IF(s->ctx, !made || !made_type, OXP_ENOMEM, "out of memory");
    OXP_NODE_FAIL_IF(s->ctx, node, branch.g->n_outputs < node->n_out, OXP_ECORRUPT,
                     "has %u outputs, its branch makes %zu", node->n_out, branch.g->n_outputs);
    OXP_TRY(run_body(s, node, &branch, NULL, NULL, 0, made, made_type));
    for (uint32_t i = 0; i < node->n_out; i++) {
        outs[i] = made[i];
        types[i] = made_type[i];
    }
    return OXP_OK;
}

/* ---- series: one value per trip, joined along a new axis ---- */

typedef struct series {
    oxp_val *steps;
    size_t n, cap;
} series;

static oxp_status series_add(oxp_specialiser *s, series *to, oxp_val v)
{
    OXP_FAIL_IF(s->ctx,
                !oxp_arena_grow(s->ctx->scratch, &to->steps, to->n, &to->cap, sizeof *to->steps),
                OXP_ENOMEM, "out of memory");
    to->steps[to->n++] = v;
    return OXP_OK;
}

/* shape with a new axis of n cells; false when it has no room for one. */
static bool with_axis(const oxp_shape *shape, int64_t axis, int64_t n, oxp_shape *out)
{
    const int rank = shape->rank + 1;
    if (axis < 0) axis += rank;
    if (rank > OXP_MAX_RANK || axis < 0 || axis >= rank) return false;
    *out = (oxp_shape){.rank = rank};
    for (int a = 0, k = 0; a < rank; a++) out->dim[a] = a == axis ? n : shape->dim[k++];
    return true;
}

static oxp_status join(oxp_specialiser *s, const oxp_node *node, const series *from, int64_t axis,
                       bool backwards, oxp_val *out)
{
    oxp_val *parts = OXP_NEW(s->ctx->scratch, oxp_val, from->n + 1);
    OXP_NOMEM_IF(s->ctx, parts);
    for (size_t i = 0; i < from->n; i++) {
        oxp_shape one;
        const oxp_val v = from->steps[backwards ? from->n - 1 - i : i];
        OXP_NODE_FAIL_IF(s->ctx, node, !with_axis(oxp_b_shape(&s->b, v), axis, 1, &one), OXP_EINVAL,
                         "cannot join its results along axis %lld", (long long)axis);
        parts[i] = oxp_b_reshape(&s->b, v, &one);
    }
    *out = oxp_b_concat(&s->b, parts, from->n, axis);
    return s->b.status;
}

/* A result of no trips, of the shape that `like` has. */
static oxp_status join_none(oxp_specialiser *s, const oxp_node *node, const oxp_value *like,
                            int64_t axis, oxp_val *out)
{
    oxp_shape none;
    OXP_NODE_FAIL_IF(s->ctx, node, !with_axis(&like->shape, axis, 0, &none), OXP_EINVAL,
                     "cannot join its results along axis %lld", (long long)axis);
    oxp_tensor *t = OXP_NEW(s->b.g->arena, oxp_tensor, 1);
    OXP_NOMEM_IF(s->ctx, t);
    const oxp_dtype dtype = like->dtype == OXP_F32 ? OXP_F64 : like->dtype;
    OXP_TRY(oxp_tensor_new(s->ctx, s->b.g->arena, dtype, &none, t));
    *out = oxp_b_const(&s->b, like->dtype, t);
    return s->b.status;
}

/* ---- Loop (trips?, condition?, state...; captures) -> state..., series... ----
 * body (trip, condition, state...) -> condition, state..., series... */

typedef struct looping {
    const oxp_node *node;
    body b;
    size_t n_state, n_series;
    oxp_val *in, *out; /* of the body */
    oxp_dtype *in_type, *out_type;
    series *all; /* [n_series] */
    bool conditional;
} looping;

static oxp_status open_loop(oxp_specialiser *s, const oxp_node *node, looping *l)
{
    const size_t captures = (size_t)oxp_attr_int(node, "captures", 0);
    const size_t own = node->n_in - captures;
    bool *wanted;
    *l = (looping){.node = node, .n_state = own < 2 ? 0 : own - 2};
    l->conditional = own > 1 && node->in[1] != OXP_NO_VAL;
    const oxp_attr *a = oxp_attr_find(node, "body");
    const size_t n_out = a && a->type == OXP_ATTR_GRAPH ? a->g->n_outputs : 0;
    OXP_NODE_FAIL_IF(s->ctx, node, n_out < 1 + l->n_state || node->n_out + 1 > n_out, OXP_ECORRUPT,
                     "has %zu states and %u outputs, its body makes %zu", l->n_state, node->n_out,
                     n_out);
    l->n_series = n_out - 1 - l->n_state;
    OXP_TRY(wanted_outputs(s, node, 1, &wanted));
    wanted[0] = l->conditional;
    /* a state is needed by the next trip, whoever reads the last one */
    bool *all = OXP_NEW(s->ctx->scratch, bool, n_out + 1);
    OXP_NOMEM_IF(s->ctx, all);
    for (size_t i = 0; i < n_out; i++)
        all[i] = (i > 0 && i <= l->n_state) || (i < node->n_out + 1 && wanted[i]);
    OXP_TRY(open_body(s, node, "body", all, n_out, false, &l->b));
    l->in = OXP_NEW(s->ctx->scratch, oxp_val, l->n_state + 2);
    l->in_type = OXP_NEW(s->ctx->scratch, oxp_dtype, l->n_state + 2);
    l->out = OXP_NEW(s->ctx->scratch, oxp_val, n_out);
    l->out_type = OXP_NEW(s->ctx->scratch, oxp_dtype, n_out);
    l->all = OXP_NEW(s->ctx->scratch, series, l->n_series + 1);
    OXP_FAIL_IF(s->ctx, !l->in || !l->in_type || !l->out || !l->out_type || !l->all, OXP_ENOMEM,
                "out of memory");
    for (size_t i = 0; i < l->n_state; i++) {
        l->in[2 + i] = s->at->map[node->in[2 + i]];
        l->in_type[2 + i] = s->at->type[node->in[2 + i]];
    }
    return OXP_OK;
}

/* A constant of one number, of rank 0. */
static oxp_val scalar(oxp_specialiser *s, oxp_dtype dtype, int64_t value)
{
    oxp_tensor *t = OXP_NEW(s->b.g->arena, oxp_tensor, 1);
    const oxp_shape none = {.rank = 0};
    const double wide = (double)value;
    if (!t) s->b.status = oxp_ctx_fail(s->ctx, OXP_ENOMEM, "out of memory");
    if (s->b.status == OXP_OK) s->b.status = oxp_tensor_new(s->ctx, s->b.g->arena, dtype, &none, t);
    if (s->b.status != OXP_OK) return OXP_NO_VAL;
    oxp_convert((void *)(uintptr_t)t->data, dtype, &wide, OXP_F64, 1);
    return oxp_b_const(&s->b, dtype, t);
}

static oxp_status trip(oxp_specialiser *s, looping *l, int64_t i)
{
    l->in[0] = scalar(s, OXP_I64, i);
    l->in[1] = scalar(s, OXP_BOOL, 1);
    l->in_type[0] = OXP_I64;
    l->in_type[1] = OXP_BOOL;
    OXP_TRY(s->b.status);
    return run_body(s, l->node, &l->b, l->in, l->in_type, l->n_state + 2, l->out, l->out_type);
}

/* The series of a loop that never ran: the body is emitted for their shapes, and taken back. */
static oxp_status no_trips(oxp_specialiser *s, looping *l, oxp_val *outs, oxp_dtype *types)
{
    oxp_graph *g = s->b.g;
    const size_t nodes = g->n_nodes, values = g->n_values, pins = s->n_pins;
    const size_t first = l->n_state;
    oxp_value *like = OXP_NEW(s->ctx->scratch, oxp_value, l->n_series + 1);
    OXP_NOMEM_IF(s->ctx, like);
    bool any = false;
    for (size_t k = first; k < l->node->n_out; k++)
        any = any || l->b.level.needed[l->b.g->outputs[1 + k]];
    if (!any) return OXP_OK;
    OXP_TRY(trip(s, l, 0));
    for (size_t k = first; k < l->node->n_out; k++)
        if (l->out[1 + k]) like[k - first] = *oxp_value_of(g, l->out[1 + k]);
    g->n_nodes = nodes;
    g->n_values = values;
    s->n_pins = pins;
    for (size_t k = first; k < l->node->n_out; k++) {
        types[k] = l->out_type[1 + k];
        if (like[k - first].dtype != OXP_DTYPE_NONE)
            OXP_TRY(join_none(s, l->node, &like[k - first], 0, &outs[k]));
    }
    return OXP_OK;
}

static oxp_status unroll_loop(oxp_specialiser *s, const oxp_node *node, oxp_val *outs,
                              oxp_dtype *types)
{
    looping l;
    int64_t trips = MAX_TRIPS + 1, on = 1, i = 0;
    OXP_TRY(open_loop(s, node, &l));
    const size_t own = node->n_in - l.b.n_captures;
    if (own > 0 && node->in[0] != OXP_NO_VAL)
        OXP_TRY(known_number(s, node, "number of trips", s->at->map[node->in[0]], &trips));
    if (l.conditional) OXP_TRY(known_number(s, node, "condition", s->at->map[node->in[1]], &on));
    for (; i < trips && on; i++) {
        OXP_NODE_FAIL_IF(s->ctx, node, i >= MAX_TRIPS, OXP_ELIMIT, "runs more than %d times",
                         MAX_TRIPS);
        OXP_TRY(trip(s, &l, i));
        if (l.n_state) {
            memcpy(l.in + 2, l.out + 1, l.n_state * sizeof *l.in);
            memcpy(l.in_type + 2, l.out_type + 1, l.n_state * sizeof *l.in_type);
        }
        for (size_t k = 0; k < l.n_series; k++)
            if (l.out[1 + l.n_state + k])
                OXP_TRY(series_add(s, &l.all[k], l.out[1 + l.n_state + k]));
        if (l.conditional) OXP_TRY(known_number(s, node, "condition", l.out[0], &on));
    }
    for (uint32_t k = 0; k < node->n_out && k < l.n_state; k++) {
        outs[k] = l.in[2 + k];
        types[k] = l.in_type[2 + k];
    }
    if (i == 0) return no_trips(s, &l, outs, types);
    for (size_t k = l.n_state; k < node->n_out; k++) {
        types[k] = l.out_type[1 + k];
        if (l.all[k - l.n_state].n)
            OXP_TRY(join(s, node, &l.all[k - l.n_state], 0, false, &outs[k]));
    }
    return OXP_OK;
}

/* ---- Scan (state..., scanned...; captures) -> state..., series... ----
 * body (state..., one cell of each scanned) -> state..., one cell of each series */

typedef struct scanning {
    const oxp_node *node;
    body b;
    size_t n_state, n_scanned, n_series, n_out;
    int64_t length;
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
    OXP_TRY(wanted_outputs(s, node, 0, &wanted));
    bool *all = OXP_NEW(s->ctx->scratch, bool, c->n_out + 1);
    c->in = OXP_NEW(s->ctx->scratch, oxp_val, own + 1);
    c->in_type = OXP_NEW(s->ctx->scratch, oxp_dtype, own + 1);
    c->out = OXP_NEW(s->ctx->scratch, oxp_val, c->n_out + 1);
    c->out_type = OXP_NEW(s->ctx->scratch, oxp_dtype, c->n_out + 1);
    OXP_FAIL_IF(s->ctx, !all || !c->in || !c->in_type || !c->out || !c->out_type, OXP_ENOMEM,
                "out of memory");
    for (size_t i = 0; i < own; i++) c->in_type[i] = s->at->type[node->in[first + i]];
    for (size_t i = 0; i < c->n_out; i++) all[i] = i < c->n_state || (i < node->n_out && wanted[i]);
    return open_body(s, node, "body", all, c->n_out, false, &c->b);
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

/* Runs the whole scan: c->in holds the states, `x` what is scanned; results in outs. */
static oxp_status scan(oxp_specialiser *s, scanning *c, const oxp_val *x, bool batched,
                       oxp_val *outs)
{
    const oxp_node *node = c->node;
    const char *directions = batched ? "directions" : "scan_input_directions";
    series *all = OXP_NEW(s->ctx->scratch, series, c->n_series + 1);
    int *axis = OXP_NEW(s->ctx->scratch, int, c->n_scanned + 1);
    OXP_FAIL_IF(s->ctx, !all || !axis, OXP_ENOMEM, "out of memory");
    for (size_t k = 0; k < c->n_scanned; k++) {
        const oxp_shape *shape = oxp_b_shape(&s->b, x[k]);
        OXP_TRY(
            oxp_norm_axis(s->ctx, listed(node, "scan_input_axes", k, 0), shape->rank, &axis[k]));
        if (k == 0) c->length = shape->dim[axis[0]];
        OXP_NODE_FAIL_IF(s->ctx, node, shape->dim[axis[k]] != c->length, OXP_EINVAL,
                         "scans %lld cells of one input and %lld of another", (long long)c->length,
                         (long long)shape->dim[axis[k]]);
    }
    OXP_NODE_FAIL_IF(s->ctx, node, c->length > MAX_TRIPS, OXP_ELIMIT, "runs more than %d times",
                     MAX_TRIPS);
    OXP_NODE_FAIL_IF(s->ctx, node, c->length == 0 && node->n_out > c->n_state, OXP_EUNSUPPORTED,
                     "scans %s", "nothing, and the shape of its results is open");
    for (int64_t t = 0; t < c->length; t++) {
        for (size_t k = 0; k < c->n_scanned; k++) {
            const bool back = listed(node, directions, k, 0) != 0;
            c->in[c->n_state + k] = cell(s, x[k], axis[k], back ? c->length - 1 - t : t);
        }
        OXP_TRY(s->b.status);
        OXP_TRY(run_body(s, node, &c->b, c->in, c->in_type, c->n_state + c->n_scanned, c->out,
                         c->out_type));
        for (size_t k = 0; k < c->n_state; k++) c->in[k] = c->out[k];
        for (size_t k = 0; k < c->n_series; k++)
            if (c->out[c->n_state + k]) OXP_TRY(series_add(s, &all[k], c->out[c->n_state + k]));
    }
    for (size_t i = 0; i < node->n_out; i++) {
        const size_t k = i - c->n_state;
        if (i < c->n_state)
            outs[i] = c->in[i];
        else if (all[k].n)
            OXP_TRY(join(s, node, &all[k], listed(node, "scan_output_axes", k, 0),
                         listed(node, "scan_output_directions", k, 0) != 0, &outs[i]));
    }
    return OXP_OK;
}

static void scan_types(const scanning *c, oxp_dtype *types)
{
    for (size_t i = 0; i < c->node->n_out; i++)
        types[i] = i < c->n_state && c->length == 0 ? c->in_type[i] : c->out_type[i];
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
    OXP_TRY(scan(s, &c, x, false, outs));
    scan_types(&c, types);
    return OXP_OK;
}

/* Opset 8: lengths first, and a batch axis before everything; one scan per item, stacked. */
static oxp_status unroll_batched_scan(oxp_specialiser *s, const oxp_node *node, oxp_val *outs,
                                      oxp_dtype *types)
{
    scanning c;
    OXP_NODE_FAIL_IF(s->ctx, node, node->n_in > 0 && node->in[0] != OXP_NO_VAL, OXP_EUNSUPPORTED,
                     "gives each item a %s of its own", "length");
    OXP_TRY(open_scan(s, node, 1, &c));
    oxp_val *x = OXP_NEW(s->ctx->scratch, oxp_val, c.n_scanned + 1);
    oxp_val *item = OXP_NEW(s->ctx->scratch, oxp_val, node->n_out + 1);
    series *items = OXP_NEW(s->ctx->scratch, series, node->n_out + 1);
    OXP_FAIL_IF(s->ctx, !x || !item || !items, OXP_ENOMEM, "out of memory");
    const oxp_val first = s->at->map[node->in[1]];
    OXP_NODE_FAIL_IF(s->ctx, node, oxp_b_shape(&s->b, first)->rank == 0, OXP_EINVAL, "has no %s",
                     "batch axis");
    const int64_t batch = oxp_b_shape(&s->b, first)->dim[0];
    OXP_NODE_FAIL_IF(s->ctx, node, batch == 0, OXP_EUNSUPPORTED, "has an empty %s", "batch");
    for (int64_t b = 0; b < batch; b++) {
        for (size_t i = 0; i < c.n_state + c.n_scanned; i++) {
            const oxp_val v = cell(s, s->at->map[node->in[1 + i]], 0, b);
            *(i < c.n_state ? &c.in[i] : &x[i - c.n_state]) = v;
        }
        OXP_TRY(s->b.status);
        OXP_TRY(scan(s, &c, x, true, item));
        for (uint32_t k = 0; k < node->n_out; k++)
            if (item[k]) OXP_TRY(series_add(s, &items[k], item[k]));
    }
    for (uint32_t k = 0; k < node->n_out; k++)
        if (items[k].n) OXP_TRY(join(s, node, &items[k], 0, false, &outs[k]));
    scan_types(&c, types);
    return OXP_OK;
}

/* ---- all ---- */

static oxp_status start_names(oxp_specialiser *s)
{
    const oxp_graph *g = s->top.graph;
    if (s->names.arena) return OXP_OK;
    oxp_strmap_init(&s->names, s->ctx->scratch);
    for (size_t v = 1; v < g->n_values; v++)
        OXP_FAIL_IF(s->ctx, g->values[v]->name && !oxp_strmap_put(&s->names, g->values[v]->name, 1),
                    OXP_ENOMEM, "out of memory");
    return OXP_OK;
}

oxp_status oxp_unroll(oxp_specialiser *s, const oxp_node *node, oxp_val *outs, oxp_dtype *types)
{
    OXP_TRY(start_names(s));
    if (node->op == &oxp_op_If) return unroll_if(s, node, outs, types);
    if (node->op == &oxp_op_Loop) return unroll_loop(s, node, outs, types);
    return oxp_attr_int(node, "batched", 0) ? unroll_batched_scan(s, node, outs, types)
                                            : unroll_scan(s, node, outs, types);
}
