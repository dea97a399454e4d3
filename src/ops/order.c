/* order.c - what stands where in the order along one axis: ArgMax and ArgMin.
 *
 * Of equal elements the one with the lower index comes first; with select_last_index the last. */
#include "ops/infer.h"
#include "ops/lower.h"

/* ---- ArgMax, ArgMin ---- */

static oxp_status infer_arg(oxp_infer *inf)
{
    const oxp_shape *x = oxp_infer_shape(inf, 0);
    int axis;
    OXP_TRY(oxp_norm_axis(inf->ctx, oxp_attr_int(inf->node, "axis", 0), x->rank, &axis));
    OXP_FAIL_IF(inf->ctx, x->dim[axis] == 0, OXP_EINVAL, "%s '%s' searches an empty axis",
                inf->node->op->name, inf->node->origin);
    oxp_shape y = {.rank = 0};
    const bool keep = oxp_attr_int(inf->node, "keepdims", 1) != 0;
    for (int a = 0; a < x->rank; a++)
        if (a != axis || keep) y.dim[y.rank++] = a == axis ? 1 : x->dim[a];
    return oxp_infer_out(inf, 0, OXP_I64, &y);
}

static oxp_status arg_ref(const oxp_call *call, bool largest)
{
    const oxp_shape *x = &call->in_shape[0];
    const bool last = oxp_attr_int(call->node, "select_last_index", 0) != 0;
    int axis;
    OXP_TRY(oxp_norm_axis(call->ctx, oxp_attr_int(call->node, "axis", 0), x->rank, &axis));
    int64_t inner = 1;
    for (int a = axis + 1; a < x->rank; a++) inner *= x->dim[a];
    const int64_t length = x->dim[axis], n = oxp_shape_elements(&call->out_shape[0]);
    for (int64_t i = 0; i < n; i++) {
        const double *row = call->in[0] + i / inner * length * inner + i % inner;
        int64_t best = 0;
        for (int64_t k = 1; k < length; k++) {
            const double candidate = row[k * inner], found = row[best * inner];
            const bool better = largest ? candidate > found : candidate < found;
            if (better || (last && candidate == found)) best = k;
        }
        call->out[0][i] = (double)best;
    }
    return OXP_OK;
}

static oxp_status arg_max_ref(const oxp_call *call)
{
    return arg_ref(call, true);
}
static oxp_status arg_min_ref(const oxp_call *call)
{
    return arg_ref(call, false);
}

/* ---- descriptors ---- */

/* clang-format off */
static const oxp_attr_spec arg_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"keepdims", OXP_ATTR_INT, NULL}, {"select_last_index", OXP_ATTR_INT, NULL},
    {NULL, 0, NULL}};

#define ARG(symbol, reference)                                                                                         \
    const oxp_op oxp_op_##symbol = {                                                                                   \
        .name = #symbol, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, .since = 1, .attrs = arg_attrs,         \
        .flags = OXP_OP_NOT_DIFFERENTIABLE, .exact = oxp_exact_int64, .infer = infer_arg, .ref = reference,            \
        .lower = oxp_lower_by_ref}

ARG(ArgMax, arg_max_ref);
ARG(ArgMin, arg_min_ref);
/* clang-format on */
