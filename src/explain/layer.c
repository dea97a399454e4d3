/* layer.c - which layer a CAM method looks at when nobody says.
 *
 *   - Pictures, volumes, series: the last tensor with a grid (more than one position) on the way
 *     from the input to the target.
 *   - Dense outputs (segmentation): the lowest-resolution tensor that every path passes, never the
 *     logits themselves.
 *   - Tokens: the last LayerNormalization whose *grid* positions influence the target. After the
 *     last attention of a class-token transformer the patch tokens get no gradient, so that is the
 *     norm in front of it.
 *
 * Influence is followed structurally from the target: a Gather or Slice that takes only prefix
 * tokens narrows it, keys and values of an attention widen it again. */
#include "explain/roles.h"

#include "ops/ops.h"
#include <string.h>

typedef enum influence { INFLUENCE_NONE, INFLUENCE_PREFIX, INFLUENCE_GRID } influence;

typedef struct layer_search {
    const oxp_graph *g;
    oxp_val target;
    bool *down;      /* depends on an input */
    uint8_t *mark;   /* influence on the target */
    uint32_t *order; /* when the value is made */
} layer_search;

/* Does this node read only the first `prefix` tokens (axis 1) of its input? */
static bool takes_prefix_only(const oxp_graph *g, const oxp_node *node, int64_t prefix)
{
    if (prefix == 0) return false;
    if (node->op == &oxp_op_Gather) {
        const oxp_value *index = oxp_value_of(g, node->in[1]);
        if (oxp_attr_int(node, "axis", 0) != 1 || index->kind != OXP_VALUE_CONST) return false;
        for (int64_t i = 0; i < oxp_shape_elements(&index->shape); i++)
            if (oxp_tensor_get(index->constant, i) < 0.0 ||
                oxp_tensor_get(index->constant, i) >= (double)prefix)
                return false;
        return true;
    }
    if (node->op == &oxp_op_Slice) {
        size_t n, n_axes;
        const int64_t *ends = oxp_attr_ints(node, "ends", &n),
                      *axes = oxp_attr_ints(node, "axes", &n_axes);
        for (size_t i = 0; i < n; i++)
            if ((axes ? axes[i] : (int64_t)i) == 1 && ends[i] > 0 && ends[i] <= prefix) return true;
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
        s->mark[v] != INFLUENCE_GRID || v == s->target || value->shape.rank < 3 ||
        value->shape.rank > 5)
        return false;
    *r = oxp_roles_of(s->g, v);
    if (positions(s->g, v, r) < 2 || r->channel < 0 || value->shape.dim[r->channel] < 2)
        return false;
    return !r->tokens || s->g->nodes[value->producer]->op == &oxp_op_LayerNormalization;
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

static oxp_status search(oxp_ctx *ctx, const oxp_graph *g, oxp_val target, layer_search *s)
{
    *s = (layer_search){.g = g, .target = target};
    s->down = oxp_reach_down(g, ctx->scratch, g->inputs, g->n_inputs);
    s->mark = OXP_NEW(ctx->scratch, uint8_t, g->n_values);
    OXP_FAIL_IF(ctx, !s->down || !s->mark, OXP_ENOMEM, "out of memory");
    mark_influence(s);
    return OXP_OK;
}

oxp_status oxp_layer_candidates(oxp_ctx *ctx, const oxp_graph *g, oxp_val target, oxp_val **layers,
                                size_t *n)
{
    layer_search s;
    OXP_TRY(search(ctx, g, target, &s));
    const oxp_roles dense = oxp_roles_of(g, target);
    const bool is_dense = oxp_shape_at(g, target)->rank > 3 && positions(g, target, &dense) > 1;
    *layers = OXP_NEW(ctx->scratch, oxp_val, g->n_values);
    OXP_NOMEM_IF(ctx, *layers);
    *n = 0;
    for (size_t i = g->n_nodes; i-- > 0;) {
        const oxp_val v = g->nodes[i]->out[0];
        oxp_roles r;
        if (is_candidate(&s, v, &r)) (*layers)[(*n)++] = v;
    }
    /* lowest resolution first; among equals the last one made */
    for (size_t k = 0; is_dense && k < *n; k++) {
        size_t best = k;
        for (size_t j = k; j < *n; j++) {
            const oxp_roles a = oxp_roles_of(g, (*layers)[j]), b = oxp_roles_of(g, (*layers)[best]);
            if (positions(g, (*layers)[j], &a) < positions(g, (*layers)[best], &b)) best = j;
        }
        const oxp_val chosen = (*layers)[best];
        memmove(*layers + k + 1, *layers + k, (best - k) * sizeof(oxp_val));
        (*layers)[k] = chosen;
    }
    if (is_dense)
        for (size_t k = 0; k < *n; k++)
            if (on_every_path(&s, ctx, (*layers)[k])) {
                const oxp_val chosen = (*layers)[k];
                memmove(*layers + 1, *layers, k * sizeof(oxp_val));
                (*layers)[0] = chosen;
                break;
            }
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
