/* post.c - see post.h. */
#include "ops/post.h"

#include "ops/build.h"
#include "ops/ops.h"
#include <string.h>

oxp_post oxp_post_read(const oxp_node *node)
{
    return (oxp_post){oxp_fn_find(oxp_attr_string(node, "fn", "")),
                      oxp_attr_float(node, "alpha", 0), oxp_attr_float(node, "beta", 0)};
}

void oxp_post_apply(const oxp_post *post, double *y, int64_t n)
{
    if (post->fn == OXP_FN_NONE) return;
    for (int64_t i = 0; i < n; i++) y[i] = oxp_fn_eval(post->fn, post->alpha, post->beta, y[i]);
}

oxp_val oxp_post_expand(oxp_build *b, const oxp_post *post, oxp_val y)
{
    if (b->status != OXP_OK || post->fn == OXP_FN_NONE) return y;
    const oxp_op *op = oxp_op_find(oxp_fn_name(post->fn));
    oxp_attr attrs[2];
    size_t n = 0;
    for (const oxp_attr_spec *spec = op->attrs; spec && spec->name && n < 2; spec++) {
        const bool second = strcmp(spec->name, "beta") == 0 || strcmp(spec->name, "max") == 0;
        attrs[n++] = OXP_FLOAT(spec->name, second ? post->beta : post->alpha);
    }
    return oxp_emit(b, op, &y, 1, attrs, n);
}
