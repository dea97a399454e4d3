/* pins.c - see pins.h. The plain executor runs what the values depend on, and nothing else. */
#include "explain/pins.h"

#include "opt/opt.h"

/* Feed i of the graph's inputs: of those that are not constants. */
static size_t feed_of(const oxp_fed *fed, size_t input)
{
    for (size_t i = 0; i < fed->n_feeds; i++)
        if (!fed->feeds[i].fixed && input-- == 0) return i;
    return SIZE_MAX;
}

static bool is_read(const oxp_graph *g, oxp_val v)
{
    for (size_t i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; k < g->nodes[i]->n_in; k++)
            if (g->nodes[i]->in[k] == v) return true;
    for (size_t i = 0; i < g->n_outputs; i++)
        if (g->outputs[i] == v) return true;
    return false;
}

/* Input `i` of the graph, which has no nodes but those that matter: zeros where none reads it. */
static oxp_status feed_input(oxp_ctx *ctx, const oxp_fed *fed, oxp_arena *tmp, const oxp_graph *g,
                             oxp_program *program, size_t i)
{
    const oxp_value *v = oxp_value_of(g, g->inputs[i]);
    const size_t at = feed_of(fed, i);
    const oxp_tensor *data = at == SIZE_MAX ? NULL : fed->data[at];
    oxp_tensor zeros;
    char want[OXP_SHAPE_TEXT], got[OXP_SHAPE_TEXT];
    if (!is_read(g, g->inputs[i])) {
        OXP_TRY(oxp_tensor_new(ctx, tmp, v->dtype, &v->shape, &zeros));
        return oxp_program_feed(ctx, program, i, &zeros);
    }
    OXP_FAIL_IF(ctx, !data, OXP_EUNSUPPORTED,
                "a shape or branch inside the model depends on the data of '%s', which are not "
                "known in advance",
                v->name ? v->name : "?");
    if (!oxp_shape_equal(&data->shape, &v->shape)) {
        if (fed->misfit) *fed->misfit = true;
        OXP_FAIL(ctx, OXP_EUNSUPPORTED,
                 "a shape or branch inside the model depends on the data of '%s': it is computed "
                 "for %s, found %s",
                 v->name ? v->name : "?", oxp_shape_text(&v->shape, want),
                 oxp_shape_text(&data->shape, got));
    }
    return oxp_program_feed(ctx, program, i, data);
}

static oxp_status run(oxp_ctx *ctx, const oxp_fed *fed, oxp_arena *tmp, const oxp_graph *g,
                      oxp_program *program, oxp_tensor *out)
{
    for (size_t i = 0; i < g->n_inputs; i++) OXP_TRY(feed_input(ctx, fed, tmp, g, program, i));
    OXP_TRY(oxp_program_run(ctx, program, 0));
    for (size_t i = 0; i < g->n_outputs; i++) {
        const oxp_value *v = oxp_value_of(g, g->outputs[i]);
        const oxp_dtype dtype = v->dtype == OXP_F32 ? OXP_F64 : v->dtype;
        OXP_TRY(oxp_tensor_new(ctx, fed->arena, dtype, &v->shape, &out[i]));
        OXP_TRY(oxp_program_read(ctx, program, i, dtype, (void *)(uintptr_t)out[i].data));
    }
    return OXP_OK;
}

static oxp_status evaluate(oxp_ctx *ctx, const oxp_fed *fed, oxp_arena *tmp, const oxp_graph *g,
                           const oxp_val *vals, size_t n, oxp_tensor *out)
{
    const oxp_exec_options options = {
        .kind = OXP_EXEC_PLAIN, .threads = 1, .max_memory = fed->net->max_memory};
    oxp_graph view = *g, *needed = &view; /* the same nodes, other outputs */
    oxp_program *program;
    view.outputs = oxp_arena_memdup(tmp, vals, n * sizeof *vals);
    OXP_NOMEM_IF(ctx, view.outputs);
    view.n_outputs = n;
    OXP_TRY(oxp_opt_run(ctx, tmp, (const oxp_pass_fn[]){oxp_opt_tidy}, 1, &needed, NULL, 0));
    OXP_TRY(oxp_program_new(ctx, needed, fed->net->weights, &options, &program));
    const oxp_status status = run(ctx, fed, tmp, needed, program, out);
    oxp_program_free(program);
    return status;
}

oxp_status oxp_fed_evaluate(oxp_ctx *ctx, void *arg, const oxp_graph *g, const oxp_val *vals,
                            size_t n, oxp_tensor *out)
{
    const oxp_fed *fed = arg;
    oxp_arena *tmp = oxp_arena_new(fed->net->hooks);
    OXP_NOMEM_IF(ctx, tmp);
    const oxp_status status = evaluate(ctx, fed, tmp, g, vals, n, out);
    oxp_arena_free(tmp);
    return status;
}

oxp_status oxp_fed_pins_hold(oxp_ctx *ctx, const oxp_fed *fed, const oxp_graph *g,
                             const oxp_pin *pins, size_t n_pins, bool *hold)
{
    size_t n = 0;
    *hold = true;
    for (size_t i = 0; i < n_pins; i++) n += pins[i].n_vals;
    oxp_val *vals = OXP_NEW(ctx->scratch, oxp_val, n + 1);
    oxp_tensor *data = OXP_NEW(ctx->scratch, oxp_tensor, n + 1);
    OXP_FAIL_IF(ctx, !vals || !data, OXP_ENOMEM, "out of memory");
    n = 0;
    for (size_t i = 0; i < n_pins; i++)
        for (size_t k = 0; k < pins[i].n_vals; k++) vals[n++] = pins[i].vals[k];
    if (n == 0) return OXP_OK;
    OXP_TRY(oxp_fed_evaluate(ctx, (void *)(uintptr_t)fed, g, vals, n, data));
    n = 0;
    for (size_t i = 0; i < n_pins && *hold; i++) {
        OXP_TRY(oxp_pin_holds(ctx, g, &pins[i], data + n, hold));
        n += pins[i].n_vals;
    }
    return OXP_OK;
}
