/* layer.c - which layer a CAM method looks at when nobody says.
 *
 *   - Pictures, volumes, series: the last tensor with a grid (more than one position) on the way
 *     from the input to the target.
 *   - Dense outputs (segmentation): the lowest-resolution tensor that every path passes, never the
 *     logits themselves.
 *   - Tokens, and grids with the features last: the last LayerNormalization whose *grid* positions
 *     influence the target. After the last attention of a class-token transformer the patch tokens
 *     get no gradient, so that is the norm in front of it.
 *
 * Influence is followed structurally from the target: a Gather or Slice that takes only prefix
 * tokens narrows it, keys and values of an attention widen it again. */
#include "explain/roles.h"

#include "ops/ops.h"
#include "ops/quantize.h"
#include <string.h>

typedef enum influence { INFLUENCE_NONE, INFLUENCE_PREFIX, INFLUENCE_GRID } influence;

typedef struct layer_search {
    const oxp_graph *g;
    oxp_val target;
    bool *down;    /* depends on an input */
    uint8_t *mark; /* influence on the target */
    bool *scores;  /* the target, but for its resolution and order */
} layer_search;

/* Does this node read only the first `prefix` tokens (axis 1) of its input? */
static bool takes_prefix_only(const oxp_graph *g, const oxp_node *node, int64_t prefix)
{
    if (prefix == 0) return false;
    const oxp_shape *x = oxp_shape_at(g, node->in[0]);
    if (node->op == &oxp_op_Gather) {
        const oxp_value *index = oxp_value_of(g, node->in[1]);
        const int64_t axis = oxp_attr_int(node, "axis", 0);
        if ((axis < 0 ? axis + x->rank : axis) != 1 || index->kind != OXP_VALUE_CONST) return false;
        for (int64_t i = 0; i < oxp_shape_elements(&index->shape); i++) {
            const int64_t at = oxp_tensor_get_int(index->constant, i);
            if ((at < 0 ? at + x->dim[1] : at) >= prefix) return false;
        }
        return true;
    }
    if (node->op == &oxp_op_Slice) {
        size_t n, n_axes;
        const int64_t *ends = oxp_attr_ints(node, "ends", &n),
                      *axes = oxp_attr_ints(node, "axes", &n_axes);
        for (size_t i = 0; i < n; i++) {
            const int64_t axis = axes ? axes[i] : (int64_t)i;
            const int64_t end = ends[i] < 0 ? ends[i] + x->dim[1] : ends[i];
            if ((axis < 0 ? axis + x->rank : axis) == 1 && end <= prefix) return true;
        }
    }
    return false;
}

/* Contractions over positions: a matmul of two computed values, or an attention core; from its
 * keys and values on, all tokens matter. */
static bool mixes_tokens(const oxp_graph *g, const oxp_node *node, uint32_t k)
{
    if (node->op == &oxp_op__Attention) return k == 1 || k == 2;
    if (node->op != &oxp_op_MatMul || k != 1) return false;
    return oxp_value_of(g, node->in[0])->kind == OXP_VALUE_NODE &&
           oxp_value_of(g, node->in[1])->kind == OXP_VALUE_NODE;
}

static void mark_influence(layer_search *s)
{
    s->mark[s->target] = INFLUENCE_GRID;
    for (size_t i = s->g->n_nodes; i-- > 0;) {
        const oxp_node *node = s->g->nodes[i];
        uint8_t most = INFLUENCE_NONE;
        for (uint32_t k = 0; k < node->n_out; k++)
            if (node->out[k] && s->mark[node->out[k]] > most) most = s->mark[node->out[k]];
        for (uint32_t k = 0; most && k < node->n_in; k++) {
            if (!node->in[k]) continue;
            uint8_t here = mixes_tokens(s->g, node, k) ? INFLUENCE_GRID : most;
            const oxp_shape *shape = oxp_shape_at(s->g, node->in[k]);
            if (k == 0 && shape->rank == 3 &&
                (node->op == &oxp_op_Gather || node->op == &oxp_op_Slice)) {
                const oxp_roles r = oxp_roles_of(s->g, node->in[k]);
                if (r.tokens && takes_prefix_only(s->g, node, r.n_grid ? r.prefix : 1))
                    here = INFLUENCE_PREFIX;
            }
            if (here > s->mark[node->in[k]]) s->mark[node->in[k]] = here;
        }
    }
}

static int64_t positions(const oxp_graph *g, oxp_val v, const oxp_roles *r)
{
    int64_t n = r->n_spatial ? 1 : 0;
    for (int a = 0; a < r->n_spatial; a++) n *= oxp_shape_at(g, v)->dim[r->spatial[a]];
    return n;
}

static bool is_candidate(const layer_search *s, oxp_val v, oxp_roles *r)
{
    const oxp_value *value = oxp_value_of(s->g, v);
    if (value->kind != OXP_VALUE_NODE || value->dtype != OXP_F32 || !s->down[v] ||
        s->mark[v] != INFLUENCE_GRID || s->scores[v] || value->shape.rank < 3 ||
        value->shape.rank > 5)
        return false;
    *r = oxp_roles_of(s->g, v);
    if (positions(s->g, v, r) < 2 || r->channel < 0 || value->shape.dim[r->channel] < 2)
        return false;
    /* Of what lies between layer norms (heads of an attention, hidden units) nothing says which
     * axes are positions. */
    return r->axes == OXP_AXES_CHANNELS ||
           (r->axes == OXP_AXES_FEATURES &&
            s->g->nodes[value->producer]->op == &oxp_op_LayerNormalization);
}

/* Every path from an input to the target passes v. */
static bool on_every_path(const layer_search *s, oxp_ctx *ctx, oxp_val v)
{
    bool *reach = OXP_NEW(ctx->scratch, bool, s->g->n_values);
    if (!reach) return false;
    for (size_t i = 0; i < s->g->n_inputs; i++) reach[s->g->inputs[i]] = true;
    for (size_t i = 0; i < s->g->n_nodes; i++) {
        const oxp_node *node = s->g->nodes[i];
        bool any = false;
        for (uint32_t k = 0; k < node->n_in; k++) any = any || reach[node->in[k]];
        for (uint32_t k = 0; any && k < node->n_out; k++) reach[node->out[k]] = node->out[k] != v;
        reach[OXP_NO_VAL] = false;
    }
    return !reach[s->target];
}

/* The input that this node hands on, resized, moved or shifted by constants; else OXP_NO_VAL. */
static oxp_val handed_on(const oxp_graph *g, const oxp_node *node)
{
    const oxp_op *op = node->op;
    if ((op->flags & (OXP_OP_SHAPE_ONLY | OXP_OP_IDENTITY)) || op == &oxp_op_Resize ||
        op == &oxp_op_Upsample || oxp_op_rounds(op))
        return node->in[0];
    if (op != &oxp_op_Add && op != &oxp_op_Sub && op != &oxp_op_Mul && op != &oxp_op_Div)
        return OXP_NO_VAL;
    for (int k = 0; k < 2; k++)
        if (oxp_value_of(g, node->in[1 - k])->kind == OXP_VALUE_CONST) return node->in[k];
    return OXP_NO_VAL;
}

static void mark_scores(layer_search *s)
{
    for (oxp_val v = s->target; v != OXP_NO_VAL;) {
        const oxp_value *value = oxp_value_of(s->g, v);
        s->scores[v] = true;
        v = value->kind == OXP_VALUE_NODE ? handed_on(s->g, s->g->nodes[value->producer])
                                          : OXP_NO_VAL;
    }
}

static oxp_status search(oxp_ctx *ctx, const oxp_graph *g, oxp_val target, layer_search *s)
{
    *s = (layer_search){.g = g, .target = target};
    s->down = oxp_reach_down(g, ctx->scratch, g->inputs, g->n_inputs);
    s->mark = OXP_NEW(ctx->scratch, uint8_t, g->n_values);
    s->scores = OXP_NEW(ctx->scratch, bool, g->n_values);
    OXP_FAIL_IF(ctx, !s->down || !s->mark || !s->scores, OXP_ENOMEM, "out of memory");
    mark_influence(s);
    mark_scores(s);
    return OXP_OK;
}

static void to_front(oxp_val *layers, size_t k)
{
    const oxp_val chosen = layers[k];
    memmove(layers + 1, layers, k * sizeof(oxp_val));
    layers[0] = chosen;
}

/* Lowest resolution first, among equals the last one made; then the first that no path avoids. */
static void sort_dense(const layer_search *s, oxp_ctx *ctx, oxp_val *layers, int64_t *cells,
                       size_t n)
{
    for (size_t k = 1; k < n; k++) { /* stable insertion */
        const oxp_val v = layers[k];
        const int64_t c = cells[k];
        size_t at = k;
        for (; at > 0 && cells[at - 1] > c; at--) {
            layers[at] = layers[at - 1];
            cells[at] = cells[at - 1];
        }
        layers[at] = v;
        cells[at] = c;
    }
    for (size_t k = 0; k < n; k++)
        if (on_every_path(s, ctx, layers[k])) {
            to_front(layers, k);
            return;
        }
}

oxp_status oxp_layer_candidates(oxp_ctx *ctx, const oxp_graph *g, oxp_val target, oxp_val **layers,
                                size_t *n)
{
    layer_search s;
    OXP_TRY(search(ctx, g, target, &s));
    *layers = OXP_NEW(ctx->scratch, oxp_val, g->n_values);
    int64_t *cells = OXP_NEW(ctx->scratch, int64_t, g->n_values);
    OXP_FAIL_IF(ctx, !*layers || !cells, OXP_ENOMEM, "out of memory");
    *n = 0;
    for (size_t i = g->n_nodes; i-- > 0;) {
        const oxp_val v = g->nodes[i]->out[0];
        oxp_roles r;
        if (!is_candidate(&s, v, &r)) continue;
        cells[*n] = positions(g, v, &r);
        (*layers)[(*n)++] = v;
    }
    const oxp_roles dense = oxp_roles_of(g, target);
    if (oxp_shape_at(g, target)->rank > 3 && positions(g, target, &dense) > 1)
        sort_dense(&s, ctx, *layers, cells, *n);
    return OXP_OK;
}

oxp_status oxp_auto_layer(oxp_ctx *ctx, const oxp_graph *g, oxp_val target, oxp_val *layer)
{
    oxp_val *layers;
    size_t n;
    OXP_TRY(oxp_layer_candidates(ctx, g, target, &layers, &n));
    OXP_FAIL_IF(ctx, n == 0, OXP_EINVAL,
                "no layer with positions in space or time lies between the input and the target; "
                "name a tensor with --layer, or use a method "
                "without layers");
    *layer = layers[0];
    return OXP_OK;
}

oxp_status oxp_reads_prefix(oxp_ctx *ctx, const oxp_graph *g, oxp_val target, oxp_val v,
                            bool *prefix)
{
    layer_search s;
    OXP_TRY(search(ctx, g, target, &s));
    *prefix = s.mark[v] == INFLUENCE_PREFIX;
    return OXP_OK;
}
