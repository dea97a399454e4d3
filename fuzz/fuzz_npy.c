/*
 * .npy parsing and writing on arbitrary bytes: what is accepted must lie inside the input and survive a round trip.
 */
#include "tensor/tensor.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void round_trip(oxp_ctx *ctx, const oxp_tensor *t)
{
    oxp_bytes file;
    oxp_tensor back;
    if (oxp_npy_format(ctx, ctx->scratch, t, &file) != OXP_OK ||
        oxp_npy_parse(ctx, ctx->scratch, file, &back) != OXP_OK ||
        !oxp_shape_equal(&t->shape, &back.shape) || t->dtype != back.dtype ||
        memcmp(t->data, back.data, oxp_tensor_bytes(t)) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    oxp_arena *arena = oxp_arena_new(NULL);
    if (arena == NULL) return 0;
    oxp_ctx ctx = {.scratch = arena};
    oxp_tensor t;
    if (oxp_npy_parse(&ctx, arena, (oxp_bytes){bytes, size}, &t) == OXP_OK) {
        if (oxp_tensor_bytes(&t) > size) abort();
        round_trip(&ctx, &t);
    }
    oxp_arena_free(arena);
    return 0;
}
