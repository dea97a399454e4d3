/* ops.c - the table of operators, expanded from ops.def. */
#include "ops/ops.h"

#include <string.h>

static const oxp_op *const table[] = {
#define OXP_OP(symbol) &oxp_op_##symbol,
#include "ops/ops.def"
#undef OXP_OP
};

size_t oxp_op_count(void)
{
    return OXP_COUNT(table);
}

const oxp_op *oxp_op_at(size_t index)
{
    return table[index];
}

const oxp_op *oxp_op_find(const char *name)
{
    for (size_t i = 0; i < OXP_COUNT(table); i++)
        if (strcmp(table[i]->name, name) == 0) return table[i];
    return NULL;
}

const oxp_op *oxp_op_find_in(const char *domain, const char *name)
{
    const size_t n = strlen(domain);
    if (n == 0) return strchr(name, ':') ? NULL : oxp_op_find(name);
    for (size_t i = 0; i < OXP_COUNT(table); i++) {
        const char *full = table[i]->name;
        if (strncmp(full, domain, n) == 0 && strncmp(full + n, "::", 2) == 0 &&
            strcmp(full + n + 2, name) == 0)
            return table[i];
    }
    return NULL;
}

oxp_status oxp_norm_axis(oxp_ctx *ctx, int64_t axis, int rank, int *out)
{
    OXP_FAIL_IF(ctx, axis < -rank || axis >= rank, OXP_EINVAL,
                "axis %lld is outside a tensor of rank %d", (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return OXP_OK;
}
