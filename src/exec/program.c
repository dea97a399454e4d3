/* program.c - the interface of program.h: argument checks, the choice of executor, and what both
 * share. */
#include "exec/step.h"
#include <omp.h>
#include <string.h>

oxp_status oxp_program_new(oxp_ctx *ctx, const oxp_graph *g, oxp_weights *weights,
                           const oxp_exec_options *options, oxp_program **out)
{
    *out = NULL;
    oxp_arena *arena = oxp_arena_new(ctx->hooks);
    oxp_program *p = arena != NULL ? OXP_NEW(arena, oxp_program, 1) : NULL;
    bool *fed = p != NULL ? OXP_NEW(arena, bool, g->n_inputs + 1) : NULL;
    if (fed == NULL) {
        oxp_arena_free(arena);
        OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
    }
    *p = (oxp_program){.arena = arena, .options = *options, .weights = weights, .fed = fed};
    p->executor = options->kind == OXP_EXEC_PLAIN ? &oxp_executor_plain : &oxp_executor_fused;
    p->threads = options->threads > 0 ? options->threads : omp_get_num_procs();
    const oxp_stage stage = ctx->stage;
    ctx->stage = OXP_STAGE_COMPILE;
    oxp_status status = oxp_graph_expand(ctx, arena, g, p->executor->runs, &p->g);
    if (status == OXP_OK) status = p->executor->compile(ctx, p);
    if (status != OXP_OK) {
        oxp_program_free(p);
        return status;
    }
    oxp_ctx_log(ctx, "compile",
                "%zu nodes to %u steps, %u reorders, workspace %llu bytes (%llu without reuse)",
                p->g->n_nodes, p->cost.steps, p->cost.reorders,
                (unsigned long long)p->cost.workspace_bytes,
                (unsigned long long)p->cost.unplanned_bytes);
    ctx->stage = stage;
    *out = p;
    return OXP_OK;
}

void oxp_program_free(oxp_program *p)
{
    if (p == NULL) return;
    if (p->weights != NULL) oxp_weights_release(p->weights, &p->refs);
    oxp_arena_free(p->arena);
}

typedef struct workspace {
    const oxp_allocator *hooks;
    void *block;
} workspace;

static void free_workspace(void *ptr)
{
    const workspace *w = ptr;
    oxp_mem_free(w->hooks, w->block);
}

oxp_status oxp_program_workspace(oxp_ctx *ctx, oxp_program *p, size_t bytes)
{
    const uint64_t limit = p->options.max_memory;
    OXP_FAIL_IF(ctx, limit != 0 && bytes > limit, OXP_ELIMIT,
                "this run needs %llu bytes of workspace, the limit is %llu: allow more memory, or "
                "use smaller inputs "
                "or fewer at a time",
                (unsigned long long)bytes, (unsigned long long)limit);
    p->cost.workspace_bytes = bytes;
    workspace *w = OXP_NEW(p->arena, workspace, 1);
    OXP_NOMEM_IF(ctx, w);
    w->hooks = oxp_arena_hooks(p->arena);
    w->block = oxp_mem_alloc(w->hooks, bytes);
    OXP_FAIL_IF(ctx, w->block == NULL, OXP_ENOMEM, "out of memory: the workspace needs %llu bytes",
                (unsigned long long)bytes);
    p->workspace = w->block;
    OXP_FAIL_IF(ctx, !oxp_arena_defer(p->arena, free_workspace, w), OXP_ENOMEM, "out of memory");
    return OXP_OK;
}

oxp_status oxp_program_feed(oxp_ctx *ctx, oxp_program *p, size_t index, const oxp_tensor *t)
{
    char want[OXP_SHAPE_TEXT], got[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(ctx, index >= p->g->n_inputs, OXP_EINVAL, "input %zu was fed, the program has %zu",
                index, p->g->n_inputs);
    const oxp_value *v = oxp_value_of(p->g, p->g->inputs[index]);
    OXP_FAIL_IF(ctx, !oxp_shape_equal(&v->shape, &t->shape), OXP_EINVAL,
                "input '%s' has shape %s, got %s", v->name != NULL ? v->name : "",
                oxp_shape_text(&v->shape, want), oxp_shape_text(&t->shape, got));
    OXP_TRY(p->executor->feed(ctx, p, index, t));
    p->fed[index] = true;
    if (v->kind == OXP_VALUE_INPUT) p->ran = false;
    return OXP_OK;
}

oxp_status oxp_program_run(oxp_ctx *ctx, oxp_program *p, int phase)
{
    for (size_t i = 0; i < p->g->n_inputs; i++) {
        const oxp_value *v = oxp_value_of(p->g, p->g->inputs[i]);
        OXP_FAIL_IF(ctx, !p->fed[i] && (phase == 1 || v->kind == OXP_VALUE_INPUT), OXP_EINVAL,
                    "input '%s' must be fed before phase %d runs", v->name != NULL ? v->name : "",
                    phase);
    }
    OXP_FAIL_IF(ctx, phase == 1 && !p->ran, OXP_EINVAL,
                "phase 1 was asked for before phase 0 ran on these inputs");
    const oxp_stage stage = ctx->stage;
    ctx->stage = OXP_STAGE_RUN;
    p->run_ctx = ctx;
    const oxp_status status = p->executor->run(ctx, p, phase);
    p->run_ctx = NULL;
    OXP_TRY(status);
    ctx->stage = stage;
    ctx->node = ctx->op = NULL;
    if (phase == 0) p->ran = true;
    return OXP_OK;
}

oxp_status oxp_program_read(oxp_ctx *ctx, const oxp_program *p, size_t index, oxp_dtype dtype,
                            void *data)
{
    OXP_FAIL_IF(ctx, index >= p->g->n_outputs, OXP_EINVAL,
                "output %zu was asked for, the program has %zu", index, p->g->n_outputs);
    return p->executor->read(ctx, p, index, dtype, data);
}

oxp_cost oxp_program_cost(const oxp_program *p)
{
    return p->cost;
}

void oxp_program_print(const oxp_program *p, oxp_strbuf *out)
{
    p->executor->print(p, out);
    oxp_strbuf_printf(
        out, "workspace %llu bytes, %llu without reuse; %u steps, %u reorders, %.3f GFLOP\n",
        (unsigned long long)p->cost.workspace_bytes, (unsigned long long)p->cost.unplanned_bytes,
        p->cost.steps, p->cost.reorders, (double)p->cost.flops * 1e-9);
}

double oxp_program_seconds(const oxp_program *p, const char *what_prefix)
{
    double sum = 0.0;
    if (p->executor != &oxp_executor_fused) return 0.0;
    const oxp_fused *f = p->state;
    for (size_t i = 0; i < f->n_steps; i++)
        if (strncmp(f->steps[i].what, what_prefix, strlen(what_prefix)) == 0)
            sum += f->steps[i].seconds;
    return sum;
}
