/* infer.c - helpers shared by the operator families; see infer.h. */
#include "ops/infer.h"

bool oxp_infer_has(const oxp_infer *inf, size_t i)
{
    return oxp_node_has(inf->node, i);
}

const oxp_shape *oxp_infer_shape(const oxp_infer *inf, size_t i)
{
    return oxp_shape_at(inf->g, inf->node->in[i]);
}

oxp_dtype oxp_infer_dtype(const oxp_infer *inf, size_t i)
{
    return oxp_value_of(inf->g, inf->node->in[i])->dtype;
}

oxp_status oxp_infer_out(oxp_infer *inf, size_t i, oxp_dtype dtype, const oxp_shape *shape)
{
    int64_t count;
    char text[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(inf->ctx, !oxp_shape_count(shape, &count), OXP_ELIMIT,
                "%s '%s' would make a tensor of shape %s", inf->node->op->name, inf->node->origin,
                oxp_shape_text(shape, text));
    inf->dtype[i] = dtype;
    inf->shape[i] = *shape;
    return OXP_OK;
}

oxp_status oxp_infer_same(oxp_infer *inf)
{
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), oxp_infer_shape(inf, 0));
}

static oxp_status infer_joined(oxp_infer *inf, oxp_dtype dtype)
{
    oxp_shape joined = *oxp_infer_shape(inf, 0);
    for (uint32_t i = 1; i < inf->node->n_in; i++) {
        const oxp_shape left = joined, *right = oxp_infer_shape(inf, i);
        char a[OXP_SHAPE_TEXT], b[OXP_SHAPE_TEXT];
        OXP_FAIL_IF(inf->ctx, !oxp_shape_broadcast(&left, right, &joined), OXP_EINVAL,
                    "%s '%s' cannot broadcast %s with %s", inf->node->op->name, inf->node->origin,
                    oxp_shape_text(&left, a), oxp_shape_text(right, b));
    }
    return oxp_infer_out(inf, 0, dtype, &joined);
}

oxp_status oxp_infer_broadcast(oxp_infer *inf)
{
    return infer_joined(inf, oxp_infer_dtype(inf, 0));
}

oxp_status oxp_infer_compare(oxp_infer *inf)
{
    return infer_joined(inf, OXP_BOOL);
}

oxp_shape oxp_node_shape(const oxp_node *node, const char *attr)
{
    size_t n;
    const int64_t *dims = oxp_attr_ints(node, attr, &n);
    return oxp_shape_of((int)n, dims);
}

oxp_status oxp_infer_from_attr(oxp_infer *inf, const char *attr)
{
    size_t n;
    const int64_t *dims = oxp_attr_ints(inf->node, attr, &n);
    OXP_FAIL_IF(inf->ctx, n > OXP_MAX_RANK, OXP_EINTERNAL, "%s '%s' has no usable attribute %s",
                inf->node->op->name, inf->node->origin, attr);
    const oxp_shape shape = oxp_shape_of((int)n, dims);
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &shape);
}

oxp_status oxp_infer_data(const oxp_infer *inf, size_t i, const double **out)
{
    const oxp_value *v = oxp_value_of(inf->g, inf->node->in[i]);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, v->kind != OXP_VALUE_CONST, OXP_EUNSUPPORTED,
                     "expects a constant as input %zu: the shape of its result depends on the data",
                     i);
    const int64_t n = oxp_shape_elements(&v->shape);
    double *wide = oxp_arena_alloc(inf->ctx->scratch, (size_t)n + 1, sizeof(double));
    OXP_NOMEM_IF(inf->ctx, wide);
    oxp_convert(wide, OXP_F64, v->constant->data, v->constant->dtype, n);
    *out = wide;
    return OXP_OK;
}

oxp_dtype oxp_exact_int64(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(node);
    OXP_UNUSED(in);
    OXP_UNUSED(k);
    return OXP_I64;
}

oxp_status oxp_infer_float(const oxp_infer *inf, size_t i)
{
    OXP_FAIL_IF(inf->ctx, oxp_infer_dtype(inf, i) != OXP_F32, OXP_EUNSUPPORTED,
                "%s '%s' expects floats as input %zu, found %s", inf->node->op->name,
                inf->node->origin, i, oxp_dtype_name(oxp_infer_dtype(inf, i)));
    return OXP_OK;
}

bool oxp_index_next(const oxp_shape *shape, int64_t idx[OXP_MAX_RANK])
{
    for (int a = shape->rank - 1; a >= 0; a--) {
        if (++idx[a] < shape->dim[a]) return true;
        idx[a] = 0;
    }
    return false;
}

int64_t oxp_index_broadcast(const oxp_shape *s, const oxp_shape *out_shape,
                            const int64_t idx[OXP_MAX_RANK])
{
    int64_t offset = 0;
    const int lead = out_shape->rank - s->rank;
    for (int a = 0; a < s->rank; a++)
        offset = offset * s->dim[a] + (s->dim[a] == 1 ? 0 : idx[a + lead]);
    return offset;
}
