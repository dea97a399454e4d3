/* plan.h - puts buffers of known lifetimes into one workspace.
 *
 * Pure arithmetic: a buffer is born at step `first`, read for the last time at step `last`, and
 * needs `bytes`. Two buffers whose lifetimes overlap never share bytes; oxp_plan_check proves it
 * for every plan made. Greedy by size, first fit (Pisarchyk & Lee 2020), 64-byte aligned. */
#ifndef OXP_PLAN_PLAN_H
#define OXP_PLAN_PLAN_H

#include "base/ctx.h"

typedef struct oxp_buffer {
    size_t bytes;
    uint32_t first, last; /* inclusive step numbers */
    size_t offset;        /* result */
} oxp_buffer;

oxp_status oxp_plan_place(oxp_ctx *ctx, oxp_buffer *buffers, size_t n, size_t *total);
oxp_status oxp_plan_check(oxp_ctx *ctx, const oxp_buffer *buffers, size_t n, size_t total);

#endif
