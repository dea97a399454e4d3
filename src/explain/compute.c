/* compute.c - what needs no method: any cut forward.
 *
 * The model is specialised for the data at hand. Integers stay data unless a shape depends on
 * them: a constant would be folded away with everything that follows from it. */
#include "explain/pins.h"
#include "explain/survey.h"
#include "opt/opt.h"

oxp_status oxp_cut_specialise(oxp_ctx *ctx, oxp_arena *arena, const oxp_cut_data *c,
                              oxp_special *special)
{
    bool *needs_data = OXP_NEW(ctx->scratch, bool, c->n_feeds + 1);
    OXP_NOMEM_IF(ctx, needs_data);
    const oxp_tensor **data = OXP_NEW(ctx->scratch, const oxp_tensor *, c->n_feeds + 1);
    OXP_NOMEM_IF(ctx, data);
    for (size_t i = 0; i < c->n_feeds; i++) data[i] = &c->data[i];
    oxp_fed fed = {c->net, arena, c->feeds, c->n_feeds, data, NULL};
    const oxp_cut cut = {.feeds = c->feeds,
                         .n_feeds = c->n_feeds,
                         .wanted = c->wanted,
                         .n_wanted = c->n_wanted,
                         .max_bytes = c->net->max_memory,
                         .evaluate = oxp_fed_evaluate,
                         .evaluate_arg = &fed};
    for (;;) {
        const oxp_status status =
            oxp_specialise(ctx, arena, c->net->graph, &cut, special, needs_data);
        bool more = false;
        for (size_t i = 0; i < c->n_feeds; i++) {
            more = more || (needs_data[i] && !c->feeds[i].fixed);
            c->feeds[i].fixed = needs_data[i] ? &c->data[i] : NULL;
        }
        if (status == OXP_OK || !more) return status;
    }
}

/* Floats as the executor computes them, integers and booleans in the model's own type. */
static oxp_status read_output(oxp_ctx *ctx, oxp_arena *arena, const oxp_graph *g,
                              oxp_program *program, size_t i, bool plain, oxp_dtype exact,
                              oxp_tensor *out)
{
    const oxp_value *v = oxp_value_of(g, g->outputs[i]);
    const bool is_float = v->dtype == OXP_F32 && oxp_dtype_is_float(exact);
    const oxp_dtype dtype = !is_float ? exact : plain ? OXP_F64 : OXP_F32;
    OXP_TRY(oxp_tensor_new(ctx, arena, dtype, &v->shape, out));
    return oxp_program_read(ctx, program, i, dtype, (void *)(uintptr_t)out->data);
}

static oxp_status compute_in(oxp_ctx *ctx, const oxp_cut_data *c, oxp_arena *tmp, oxp_arena *arena,
                             const oxp_exec_options *options, oxp_tensor *out)
{
    const oxp_pass_fn passes[] = {oxp_opt_raise, oxp_opt_merge, oxp_opt_tidy, oxp_opt_fuse};
    const bool plain = options->kind == OXP_EXEC_PLAIN;
    oxp_special special;
    OXP_TRY(oxp_cut_specialise(ctx, tmp, c, &special));
    oxp_graph *g = special.g;
    if (!plain) OXP_TRY(oxp_opt_run(ctx, tmp, passes, OXP_COUNT(passes), &g, NULL, 0));
    oxp_program *program;
    OXP_TRY(oxp_program_new(ctx, g, c->net->weights, options, &program));
    oxp_status status = OXP_OK;
    size_t input = 0;
    for (size_t i = 0; status == OXP_OK && i < c->n_feeds; i++)
        if (!c->feeds[i].fixed) status = oxp_program_feed(ctx, program, input++, &c->data[i]);
    if (status == OXP_OK) status = oxp_program_run(ctx, program, 0);
    for (size_t i = 0; status == OXP_OK && i < c->n_wanted; i++)
        status = read_output(ctx, arena, g, program, i, plain, special.type[c->wanted[i]], &out[i]);
    oxp_program_free(program);
    return status;
}

oxp_status oxp_cut_feeds(oxp_ctx *ctx, const oxp_val *vals, oxp_cut_data *c)
{
    c->feeds = OXP_NEW(ctx->scratch, oxp_feed, c->n_feeds + 1);
    OXP_NOMEM_IF(ctx, c->feeds);
    for (size_t i = 0; i < c->n_feeds; i++)
        c->feeds[i] = (oxp_feed){vals[i], c->data[i].shape, NULL};
    return OXP_OK;
}

oxp_status oxp_compute(oxp_ctx *ctx, const oxp_net *net, oxp_arena *arena, const oxp_val *feed,
                       const oxp_tensor *data, size_t n_feeds, const oxp_val *wanted,
                       size_t n_wanted, int threads, bool double_precision, oxp_tensor *out)
{
    oxp_cut_data c = {net, NULL, data, n_feeds, wanted, n_wanted};
    const oxp_exec_options options = {.kind = double_precision ? OXP_EXEC_PLAIN : OXP_EXEC_FUSED,
                                      .threads = threads,
                                      .max_memory = net->max_memory};
    OXP_TRY(oxp_cut_feeds(ctx, feed, &c));
    oxp_arena *tmp = oxp_arena_new(net->hooks);
    OXP_NOMEM_IF(ctx, tmp);
    const oxp_status status = compute_in(ctx, &c, tmp, arena, &options, out);
    oxp_arena_free(tmp);
    return status;
}
