/* post.c - what a kernel applies to its result before it leaves the registers: scale, adds, a function.
 *
 * oneDNN's relu and clip turn NaN into a bound, where the operators pass it on; its swish, gelu and
 * hardswish give NaN at -infinity, where the limit is 0. Both need a preceding overflow (fed values and
 * constants are finite), so speed wins here; the plain executor shows the difference. */
#include "exec/dnnl/kernel.h"

/* oneDNN's algorithm and parameters for f; false when it has none that agrees with ours. */
static bool algorithm(const oxp_post *post, dnnl_alg_kind_t *alg, float *alpha, float *beta)
{
    *alpha = (float)post->alpha;
    *beta = (float)post->beta;
    switch (post->fn) {
    case OXP_FN_RELU:
        *alpha = 0.0f;
        *alg = dnnl_eltwise_relu;
        return true;
    case OXP_FN_LEAKY_RELU:
        *alg = dnnl_eltwise_relu;
        return true;
    case OXP_FN_ELU:
        *alg = dnnl_eltwise_elu;
        return true;
    case OXP_FN_CLIP:
        *alg = dnnl_eltwise_clip;
        return *alpha <= *beta;
    case OXP_FN_SIGMOID:
        *alg = dnnl_eltwise_logistic;
        return true;
    case OXP_FN_TANH:
        *alg = dnnl_eltwise_tanh;
        return true;
    case OXP_FN_SILU:
        if (post->alpha >= 0.0 && post->alpha <= 0.0) *alpha = 1.0f;
        *alg = dnnl_eltwise_swish;
        return true;
    case OXP_FN_GELU:
        *alg = dnnl_eltwise_gelu_erf;
        return true;
    case OXP_FN_GELU_TANH:
        *alg = dnnl_eltwise_gelu_tanh;
        return true;
    case OXP_FN_HARD_SWISH: /* 2.6 ignores the parameters, 3.x wants them */
        *alpha = 1.0f / 6.0f;
        *beta = 0.5f;
        *alg = dnnl_eltwise_hardswish;
        return true;
    default:
        return false;
    }
}

bool oxp_post_fusable(const oxp_post *post)
{
    dnnl_alg_kind_t alg;
    float alpha, beta;
    return post->fn == OXP_FN_NONE || algorithm(post, &alg, &alpha, &beta);
}

static bool scales(const oxp_post_spec *spec)
{
    return spec->scale < 1.0f || spec->scale > 1.0f;
}

int oxp_attr_add_arg(const oxp_post_spec *spec, int add)
{
    const int at = (scales(spec) ? 1 : 0) + (add == 1 && spec->add[0] != NULL ? 1 : 0);
    return DNNL_ARG_ATTR_MULTIPLE_POST_OP(at) | DNNL_ARG_SRC_1;
}

static dnnl_status_t append_all(const oxp_post_spec *spec, dnnl_post_ops_t ops)
{
    dnnl_status_t status = dnnl_success;
    dnnl_alg_kind_t alg;
    float alpha, beta;
    if (scales(spec)) status = oxp_append_eltwise(ops, dnnl_eltwise_linear, spec->scale, 0.0f);
    for (int i = 0; i < 2 && status == dnnl_success; i++)
        if (spec->add[i] != NULL)
            status = dnnl_post_ops_append_binary(ops, dnnl_binary_add, spec->add[i]);
    if (status == dnnl_success && spec->post.fn != OXP_FN_NONE &&
        algorithm(&spec->post, &alg, &alpha, &beta))
        status = oxp_append_eltwise(ops, alg, alpha, beta);
    return status;
}

oxp_status oxp_attr_make(oxp_lower *lw, const oxp_post_spec *spec, dnnl_primitive_attr_t *out)
{
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    OXP_DNNL_TRY(lw->ctx, dnnl_primitive_attr_create(&attr));
    dnnl_status_t status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (status == dnnl_success) status = dnnl_post_ops_create(&ops);
    if (status == dnnl_success) status = append_all(spec, ops);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attr, ops);
    if (ops != NULL) dnnl_post_ops_destroy(ops);
    if (status != dnnl_success) dnnl_primitive_attr_destroy(attr);
    OXP_DNNL_TRY(lw->ctx, status);
    *out = attr;
    return OXP_OK;
}

oxp_status oxp_post_steps(oxp_lower *lw, const oxp_val add[2], const oxp_post *post, oxp_val y)
{
    for (int i = 0; i < 2; i++)
        if (add[i] != OXP_NO_VAL) OXP_TRY(oxp_lower_binary(lw, OXP_BIN_ADD, y, add[i], y));
    if (post->fn == OXP_FN_NONE) return OXP_OK;
    return oxp_lower_unary(lw, post->fn, post->alpha, post->beta, y, y);
}
