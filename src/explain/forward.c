/* forward.c - what needs no method: any cut forward, compiled once for inputs of one kind.
 *
 * The model is specialised for the data at hand. Integers stay data unless a shape depends on
 * them: a constant would be folded away with everything that follows from it. Other shapes, other
 * integers where those decide shapes, and other results of what is pinned compile again. */
#include "explain/pins.h"
#include "explain/survey.h"
#include "opt/opt.h"
#include <string.h>

struct oxp_forward {
    const oxp_net *net;
    oxp_arena *arena, *compiled; /* of itself; of what is compiled, NULL: nothing */
    const oxp_val *wanted;
    size_t n_wanted;
    oxp_exec_options options;
    oxp_feed *feeds; /* [n_feeds] in `compiled`, with the data that are constants */
    size_t n_feeds;
    oxp_special special;
    const oxp_graph *g; /* special.g after the passes */
    oxp_program *program;
};

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

oxp_status oxp_cut_feeds(oxp_ctx *ctx, const oxp_val *vals, oxp_cut_data *c)
{
    c->feeds = OXP_NEW(ctx->scratch, oxp_feed, c->n_feeds + 1);
    OXP_NOMEM_IF(ctx, c->feeds);
    for (size_t i = 0; i < c->n_feeds; i++)
        c->feeds[i] = (oxp_feed){vals[i], c->data[i].shape, NULL};
    return OXP_OK;
}

/* ---- compiling ---- */

static void drop(oxp_forward *f)
{
    oxp_program_free(f->program);
    oxp_arena_free(f->compiled);
    f->program = NULL;
    f->compiled = NULL;
}

/* Would these feeds give the same program? */
static oxp_status holds(oxp_ctx *ctx, const oxp_forward *f, const oxp_val *vals,
                        const oxp_tensor *data, size_t n_feeds, bool *same)
{
    *same = f->program && f->n_feeds == n_feeds;
    for (size_t i = 0; *same && i < n_feeds; i++) {
        const oxp_tensor *fixed = f->feeds[i].fixed;
        const size_t bytes = fixed ? oxp_tensor_bytes(fixed) : 0;
        *same = f->feeds[i].val == vals[i] && oxp_shape_equal(&f->feeds[i].shape, &data[i].shape) &&
                (!fixed || fixed->dtype == data[i].dtype) &&
                (bytes == 0 || memcmp(fixed->data, data[i].data, bytes) == 0);
    }
    if (!*same || f->special.n_pins == 0) return OXP_OK;
    const oxp_tensor **given = OXP_NEW(ctx->scratch, const oxp_tensor *, n_feeds + 1);
    OXP_NOMEM_IF(ctx, given);
    for (size_t i = 0; i < n_feeds; i++) given[i] = &data[i];
    const oxp_fed fed = {f->net, ctx->scratch, f->feeds, n_feeds, given, NULL};
    return oxp_fed_pins_hold(ctx, &fed, f->special.g, f->special.pins, f->special.n_pins, same);
}

/* The feeds in what is compiled, with copies of data that may become constants. */
static oxp_status keep_feeds(oxp_ctx *ctx, oxp_forward *f, const oxp_val *vals,
                             const oxp_tensor *data, oxp_tensor *kept)
{
    f->feeds = OXP_NEW(f->compiled, oxp_feed, f->n_feeds + 1);
    OXP_NOMEM_IF(ctx, f->feeds);
    for (size_t i = 0; i < f->n_feeds; i++) {
        f->feeds[i] = (oxp_feed){vals[i], data[i].shape, NULL};
        kept[i] = data[i];
        if (oxp_dtype_is_float(data[i].dtype)) continue;
        kept[i].data = oxp_arena_memdup(f->compiled, data[i].data, oxp_tensor_bytes(&data[i]));
        OXP_NOMEM_IF(ctx, kept[i].data);
    }
    return OXP_OK;
}

static oxp_status compile(oxp_ctx *ctx, oxp_forward *f, const oxp_val *vals, const oxp_tensor *data,
                          size_t n_feeds)
{
    const oxp_pass_fn passes[] = {oxp_opt_raise, oxp_opt_merge, oxp_opt_tidy, oxp_opt_fuse};
    drop(f);
    f->compiled = oxp_arena_new(f->net->hooks);
    OXP_NOMEM_IF(ctx, f->compiled);
    f->n_feeds = n_feeds;
    oxp_tensor *kept = OXP_NEW(f->compiled, oxp_tensor, n_feeds + 1);
    OXP_NOMEM_IF(ctx, kept);
    OXP_TRY(keep_feeds(ctx, f, vals, data, kept));
    const oxp_cut_data c = {f->net, f->feeds, kept, n_feeds, f->wanted, f->n_wanted};
    OXP_TRY(oxp_cut_specialise(ctx, f->compiled, &c, &f->special));
    oxp_graph *g = f->special.g;
    if (f->options.kind != OXP_EXEC_PLAIN)
        OXP_TRY(oxp_opt_run(ctx, f->compiled, passes, OXP_COUNT(passes), &g, NULL, 0));
    f->g = g;
    return oxp_program_new(ctx, g, f->net->weights, &f->options, &f->program);
}

/* ---- running ---- */

/* Floats as the executor computes them, integers and booleans in the model's own type. */
static oxp_status read_output(oxp_ctx *ctx, const oxp_forward *f, oxp_arena *arena, size_t i,
                              oxp_tensor *out)
{
    const oxp_value *v = oxp_value_of(f->g, f->g->outputs[i]);
    const oxp_dtype exact = f->special.type[f->wanted[i]];
    const bool is_float = v->dtype == OXP_F32 && oxp_dtype_is_float(exact);
    const oxp_dtype computed = f->options.kind == OXP_EXEC_PLAIN ? OXP_F64 : OXP_F32;
    OXP_TRY(oxp_tensor_new(ctx, arena, is_float ? computed : exact, &v->shape, out));
    return oxp_program_read(ctx, f->program, i, out->dtype, (void *)(uintptr_t)out->data);
}

oxp_status oxp_forward_new(oxp_ctx *ctx, const oxp_net *net, const oxp_val *wanted, size_t n_wanted,
                           int threads, bool double_precision, oxp_forward **out)
{
    oxp_arena *arena = oxp_arena_new(net->hooks);
    oxp_forward *f = arena ? OXP_NEW(arena, oxp_forward, 1) : NULL;
    if (f) f->wanted = oxp_arena_memdup(arena, wanted, n_wanted * sizeof *wanted);
    if (!f || (n_wanted && !f->wanted)) {
        oxp_arena_free(arena);
        OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
    }
    f->net = net;
    f->arena = arena;
    f->n_wanted = n_wanted;
    f->options = (oxp_exec_options){.kind = double_precision ? OXP_EXEC_PLAIN : OXP_EXEC_FUSED,
                                    .threads = threads,
                                    .max_memory = net->max_memory};
    *out = f;
    return OXP_OK;
}

oxp_status oxp_forward_run(oxp_ctx *ctx, oxp_forward *f, oxp_arena *arena, const oxp_val *feed,
                           const oxp_tensor *data, size_t n_feeds, oxp_tensor *out)
{
    bool same;
    OXP_TRY(holds(ctx, f, feed, data, n_feeds, &same));
    if (!same) {
        const oxp_status status = compile(ctx, f, feed, data, n_feeds);
        if (status != OXP_OK) drop(f);
        OXP_TRY(status);
    }
    size_t input = 0;
    for (size_t i = 0; i < n_feeds; i++)
        if (!f->feeds[i].fixed) OXP_TRY(oxp_program_feed(ctx, f->program, input++, &data[i]));
    OXP_TRY(oxp_program_run(ctx, f->program, 0));
    for (size_t i = 0; i < f->n_wanted; i++) OXP_TRY(read_output(ctx, f, arena, i, &out[i]));
    return OXP_OK;
}

void oxp_forward_free(oxp_forward *f)
{
    if (!f) return;
    drop(f);
    oxp_arena_free(f->arena);
}

oxp_status oxp_compute(oxp_ctx *ctx, const oxp_net *net, oxp_arena *arena, const oxp_val *feed,
                       const oxp_tensor *data, size_t n_feeds, const oxp_val *wanted,
                       size_t n_wanted, int threads, bool double_precision, oxp_tensor *out)
{
    oxp_forward *f;
    OXP_TRY(oxp_forward_new(ctx, net, wanted, n_wanted, threads, double_precision, &f));
    const oxp_status status = oxp_forward_run(ctx, f, arena, feed, data, n_feeds, out);
    oxp_forward_free(f);
    return status;
}
