/* merge.c - BatchNormalization into the convolution before it, when nobody else looks at the
 * convolution's output.
 *
 *   s = gamma / sqrt(var + epsilon)
 *   w'[k,...] = w[k,...] s[k]        (ConvTranspose: w[c,k,...], k counted within c's group)
 *   b'[k] = (b[k] - mean[k]) s[k] + beta[k]
 *
 * Runs before differentiation, so the adjoint uses w' as well: one multiplication less per
 * channel in both directions. */
#include "opt/rewrite.h"

#include "ops/infer.h"
#include <math.h>

/* The convolution that feeds this BatchNormalization, if it can be merged; else NULL. */
static oxp_node *mergeable(const oxp_rewrite *rw, const oxp_node *bn)
{
    const oxp_graph *g = rw->from;
    if (bn->op != &oxp_op_BatchNormalization || !oxp_rewrite_private(rw, bn->in[0])) return NULL;
    oxp_node *conv = oxp_producer(g, bn->in[0]);
    if (!conv || !oxp_op_is_conv(conv->op) || !oxp_const_of(g, conv->in[1])) return NULL;
    if (oxp_node_has(conv, 2) && !oxp_const_of(g, conv->in[2])) return NULL;
    for (uint32_t k = 1; k < 5; k++)
        if (!oxp_const_of(g, bn->in[k])) return NULL;
    return conv;
}

static oxp_status new_constant(oxp_pass *pass, oxp_dtype dtype, const oxp_shape *shape,
                               oxp_tensor **out)
{
    *out = OXP_NEW(pass->arena, oxp_tensor, 1);
    OXP_NOMEM_IF(pass->ctx, *out);
    return oxp_tensor_new(pass->ctx, pass->arena, dtype, shape, *out);
}

static void put(const oxp_tensor *t, int64_t i, double v)
{
    if (t->dtype == OXP_F64)
        ((double *)(uintptr_t)t->data)[i] = v;
    else
        ((float *)(uintptr_t)t->data)[i] = (float)v;
}

/* Multiplies the weights of each result channel by its number. */
static void scale_weights(const oxp_node *conv, const oxp_tensor *from, const double *scale,
                          oxp_tensor *to)
{
    const oxp_shape *w = &from->shape;
    const bool turned = conv->op == &oxp_op_ConvTranspose;
    const int64_t each = w->dim[1], per_group = w->dim[0] / oxp_attr_int(conv, "group", 1);
    const int64_t rows = turned ? w->dim[0] * each : w->dim[0];
    const int64_t run = rows ? oxp_shape_elements(w) / rows : 0;
    for (int64_t r = 0; r < rows; r++) {
        const double s = scale[turned ? r / each / per_group * each + r % each : r];
        for (int64_t i = r * run; i < (r + 1) * run; i++) put(to, i, s * oxp_tensor_get(from, i));
    }
}

static oxp_status merged_weights(oxp_pass *pass, oxp_dtype dtype, const oxp_node *conv,
                                 const oxp_node *bn, oxp_tensor **w_out, oxp_tensor **b_out)
{
    const oxp_graph *g = pass->in;
    const oxp_tensor *w =
        oxp_const_of(g, conv->in[1]); /* (K,C/group,kernel...) or (C,K/group,...) */
    const oxp_tensor *b = oxp_node_has(conv, 2) ? oxp_const_of(g, conv->in[2]) : NULL; /* (K) */
    const oxp_tensor *gamma = oxp_const_of(g, bn->in[1]), *beta = oxp_const_of(g, bn->in[2]);
    const oxp_tensor *mean = oxp_const_of(g, bn->in[3]), *var = oxp_const_of(g, bn->in[4]);
    const double epsilon = oxp_attr_float(bn, "epsilon", 1e-5);
    const int64_t k_count = gamma->shape.dim[0];
    const oxp_shape b_shape = oxp_shape_of(1, &k_count);
    OXP_TRY(new_constant(pass, dtype, &w->shape, w_out));
    OXP_TRY(new_constant(pass, dtype, &b_shape, b_out));
    double *scale = OXP_NEW(pass->ctx->scratch, double, k_count);
    OXP_NOMEM_IF(pass->ctx, scale);
    for (int64_t k = 0; k < k_count; k++)
        scale[k] = oxp_tensor_get(gamma, k) / sqrt(oxp_tensor_get(var, k) + epsilon);
    scale_weights(conv, w, scale, *w_out);
    for (int64_t k = 0; k < k_count; k++) {
        const double centred = (b ? oxp_tensor_get(b, k) : 0.0) - oxp_tensor_get(mean, k);
        put(*b_out, k, centred * scale[k] + oxp_tensor_get(beta, k));
    }
    return OXP_OK;
}

static oxp_status merge_one(oxp_rewrite *rw, oxp_dtype dtype, const oxp_node *conv,
                            const oxp_node *bn)
{
    oxp_tensor *w, *b;
    OXP_TRY(merged_weights(rw->pass, dtype, conv, bn, &w, &b));
    rw->b.origin = conv->origin;
    rw->b.flags = conv->flags;
    const oxp_val in[3] = {oxp_rewrite_val(rw, conv->in[0]), oxp_b_const(&rw->b, OXP_F32, w),
                           oxp_b_const(&rw->b, OXP_F32, b)};
    oxp_rewrite_set(rw, bn->out[0], oxp_emit(&rw->b, conv->op, in, 3, conv->attrs, conv->n_attrs));
    return rw->b.status;
}

static oxp_status merge(oxp_pass *pass, oxp_dtype dtype)
{
    oxp_rewrite rw;
    OXP_TRY(oxp_rewrite_begin(&rw, pass));
    const oxp_graph *g = pass->in;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const oxp_node *conv = rw.live[g->nodes[i]->out[0]] ? mergeable(&rw, g->nodes[i]) : NULL;
        if (conv) rw.absorbed[g->values[conv->out[0]]->producer] = true;
    }
    for (size_t i = 0; i < g->n_nodes; i++) {
        const oxp_node *node = g->nodes[i], *conv = mergeable(&rw, node);
        if (!oxp_rewrite_live(&rw, node) || rw.absorbed[i]) continue;
        OXP_TRY(conv ? merge_one(&rw, dtype, conv, node) : oxp_rewrite_copy(&rw, node));
    }
    return oxp_rewrite_end(&rw);
}

oxp_status oxp_opt_merge(oxp_pass *pass)
{
    return merge(pass, OXP_F32);
}

oxp_status oxp_opt_merge_exact(oxp_pass *pass)
{
    return merge(pass, OXP_F64);
}
