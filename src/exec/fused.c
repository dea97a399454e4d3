/* fused.c - the fast executor: lowers a graph to steps, plans one workspace, runs the steps.
 *
 * Lifetimes, in steps: inputs and seeds live from the start to the end (they are fed once and may
 * be run again); outputs and whatever phase 1 reads of phase 0 live to the end, so that phase 1
 * can be run again; everything else lives from its first step to its last. Built with a
 * sanitizer, a storage is poisoned while it is not alive. */
#include "exec/host.h"
#include "plan/plan.h"
#include <string.h>
#include <time.h>

#ifdef OXP_SANITIZE
#include <sanitizer/asan_interface.h>
#endif

static bool runs(const oxp_op *op)
{
    return op->lower != NULL;
}

/* ---- lowering ---- */

static oxp_status start(oxp_lower *lw)
{
    const oxp_graph *g = lw->program->g;
    oxp_arena *arena = lw->program->arena;
    oxp_fused *f = lw->f;
    f->n_vals = f->cap_vals = g->n_values;
    f->vals = OXP_NEW(arena, oxp_placed *, g->n_values);
    oxp_placed *all = OXP_NEW(arena, oxp_placed, g->n_values);
    OXP_FAIL_IF(lw->ctx, f->vals == NULL || all == NULL, OXP_ENOMEM, "out of memory");
    for (size_t v = 1; v < g->n_values; v++) {
        all[v] = (oxp_placed){.storage = OXP_NO_STORAGE,
                              .dtype = g->values[v]->dtype,
                              .shape = g->values[v]->shape,
                              .last_node = lw->order.last_use[v]};
        f->vals[v] = &all[v];
    }
    return OXP_OK;
}

/* Walks back from the operators that want channels-last operands through elementwise ones, so
 * that what has no layout yet (an input, a constant sum) starts in the one that is wanted. */
static oxp_status find_wishes(oxp_lower *lw)
{
    const oxp_graph *g = lw->program->g;
    lw->wants_channels_last = OXP_NEW(lw->ctx->scratch, bool, g->n_values);
    OXP_NOMEM_IF(lw->ctx, lw->wants_channels_last);
    for (size_t at = lw->order.n; at-- > 0;) {
        const oxp_node *node = lw->order.node[at];
        const bool wants = (node->op->flags & OXP_OP_CHANNELS_LAST) != 0;
        const bool passes =
            (node->op->flags & OXP_OP_ELEMENTWISE) != 0 && lw->wants_channels_last[node->out[0]];
        if (!wants && !passes) continue;
        for (uint32_t i = 0; i < node->n_in; i++) {
            if (node->in[i] == OXP_NO_VAL) continue;
            const oxp_shape *shape = oxp_shape_at(g, node->in[i]);
            if (shape->rank >= 3 &&
                (wants || oxp_shape_equal(shape, oxp_shape_at(g, node->out[0]))))
                lw->wants_channels_last[node->in[i]] = true;
        }
    }
    return OXP_OK;
}

/* No step for a node that makes no element: kernels need not know empty tensors. */
static oxp_status lower_nothing(oxp_lower *lw, const oxp_node *node)
{
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i] != OXP_NO_VAL)
            OXP_TRY(oxp_lower_result(lw, node->out[i], OXP_LAYOUT_ROWS));
    return OXP_OK;
}

static oxp_status lower_node(oxp_lower *lw)
{
    const oxp_node *node = lw->node;
    lw->ctx->node = node->origin;
    lw->ctx->op = node->op->name;
    OXP_TRY(oxp_node_is_empty(lw->program->g, node) ? lower_nothing(lw, node)
                                                    : node->op->lower(lw, node));
    OXP_TRY(lw->status);
    for (uint32_t i = 0; i < node->n_out; i++)
        OXP_FAIL_IF(lw->ctx,
                    node->out[i] != OXP_NO_VAL && !oxp_is_placed(oxp_lower_at(lw, node->out[i])),
                    OXP_EINTERNAL, "output %u was not lowered", i);
    return OXP_OK;
}

static oxp_status lower_all(oxp_lower *lw)
{
    const oxp_graph *g = lw->program->g;
    for (uint32_t at = 0; at < lw->order.n; at++) {
        lw->node = lw->order.node[at];
        lw->position = at;
        lw->phase = at >= lw->order.n_phase0;
        if (at == lw->order.n_phase0) lw->f->first_phase1 = (uint32_t)lw->f->n_steps;
        OXP_TRY(lower_node(lw));
    }
    if (lw->order.n_phase0 == lw->order.n) lw->f->first_phase1 = (uint32_t)lw->f->n_steps;
    lw->ctx->node = lw->ctx->op = NULL;
    /* What no node has touched may still be fed or read. */
    for (size_t i = 0; i < g->n_inputs + g->n_outputs; i++)
        OXP_UNUSED(
            oxp_lower_place(lw, i < g->n_inputs ? g->inputs[i] : g->outputs[i - g->n_inputs]));
    return lw->status;
}

/* ---- planning ---- */

static void stretch_lifetimes(oxp_fused *f, const oxp_graph *g)
{
    const uint32_t end = (uint32_t)f->n_steps;
    for (size_t i = 0; i < f->n_storages; i++) {
        oxp_storage *s = &f->storages[i];
        if (s->first == UINT32_MAX) s->first = s->last = 0;
        if (s->last_node == OXP_FOREVER || (s->phase == 0 && s->last >= f->first_phase1))
            s->last = end;
    }
    for (size_t i = 0; i < g->n_inputs; i++) f->storages[f->vals[g->inputs[i]]->storage].first = 0;
}

static oxp_status plan(oxp_ctx *ctx, oxp_program *p)
{
    oxp_fused *f = p->state;
    oxp_buffer *buffers = OXP_NEW(ctx->scratch, oxp_buffer, f->n_storages + 1);
    size_t total;
    OXP_NOMEM_IF(ctx, buffers);
    stretch_lifetimes(f, p->g);
    for (size_t i = 0; i < f->n_storages; i++) {
        const oxp_storage *s = &f->storages[i];
        if (s->constant != NULL) continue;
        buffers[i] = (oxp_buffer){.bytes = s->bytes, .first = s->first, .last = s->last};
        p->cost.unplanned_bytes += s->bytes;
    }
    OXP_TRY(oxp_plan_place(ctx, buffers, f->n_storages, &total));
    for (size_t i = 0; i < f->n_storages; i++) f->storages[i].offset = buffers[i].offset;
    return oxp_program_workspace(ctx, p, (total + 63) / 64 * 64);
}

static void *address(const oxp_program *p, const oxp_placed *v)
{
    const oxp_storage *s = &((const oxp_fused *)p->state)->storages[v->storage];
    char *base =
        s->constant != NULL ? (char *)(uintptr_t)s->constant : (char *)p->workspace + s->offset;
    return base + v->place.offset * (int64_t)oxp_dtype_size(v->dtype);
}

static void bind(oxp_program *p)
{
    oxp_fused *f = p->state;
    for (size_t i = 0; i < f->n_steps; i++) {
        oxp_step *s = &f->steps[i];
        for (uint32_t k = 0; k < s->n_in + s->n_out; k++)
            s->ptr[k] = s->vals[k] != OXP_NO_VAL ? address(p, f->vals[s->vals[k]]) : NULL;
        /* none: still a place that an offset of zero may be added to */
        s->scratch_ptr = s->scratch == OXP_NO_STORAGE
                             ? p->workspace
                             : p->workspace + f->storages[s->scratch].offset;
        p->cost.flops += s->flops;
        p->cost.reorders += s->is_reorder;
    }
    p->cost.steps = (uint32_t)f->n_steps;
}

static oxp_status compile(oxp_ctx *ctx, oxp_program *p)
{
    oxp_fused *f = OXP_NEW(p->arena, oxp_fused, 1);
    oxp_lower lw = {.ctx = ctx, .program = p, .f = f};
    OXP_NOMEM_IF(ctx, f);
    p->state = f;
    OXP_TRY(oxp_schedule_make(ctx, ctx->scratch, p->g, &lw.order));
    OXP_TRY(start(&lw));
    OXP_TRY(find_wishes(&lw));
    OXP_TRY(lower_all(&lw));
    OXP_TRY(plan(ctx, p));
    bind(p);
    return OXP_OK;
}

/* ---- running ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#ifdef OXP_SANITIZE
/* Only what is alive at the step may be touched; afterwards (step == n_steps) only what lives to
 * the end. */
static void poison_dead(const oxp_program *p, uint32_t step)
{
    const oxp_fused *f = p->state;
    ASAN_POISON_MEMORY_REGION(p->workspace, p->cost.workspace_bytes);
    for (size_t i = 0; i < f->n_storages; i++) {
        const oxp_storage *s = &f->storages[i];
        if (s->constant == NULL && s->first <= step && step <= s->last)
            ASAN_UNPOISON_MEMORY_REGION(p->workspace + s->offset, s->bytes);
    }
}

static void unpoison(const oxp_program *p)
{
    ASAN_UNPOISON_MEMORY_REGION(p->workspace, p->cost.workspace_bytes);
}
#else
#define poison_dead(p, step) ((void)(step))
#define unpoison(p)          ((void)(p))
#endif

static oxp_status run_step(oxp_ctx *ctx, const oxp_program *p, oxp_step *s)
{
    const oxp_host_call call = {
        .ptr = s->ptr, .args = s->args, .scratch = s->scratch_ptr, .threads = p->threads};
    ctx->node = s->node->origin;
    ctx->op = s->node->op->name;
    if (ctx->error != NULL) ctx->error->code = OXP_OK;
    const double before = p->options.profile ? now() : 0.0;
    const oxp_status status = s->run(&call);
    if (p->options.profile) {
        const double seconds = now() - before;
        s->seconds += seconds;
        oxp_ctx_log(ctx, "profile", "%9.3f ms  %-12s %-24s %s", seconds * 1e3, s->what, s->impl,
                    s->node->origin);
    }
    const bool told = ctx->error != NULL && ctx->error->code == status;
    OXP_FAIL_IF(ctx, status == OXP_EINVAL && !told, status,
                "step %s got a value outside its range (an index?)", s->what);
    OXP_FAIL_IF(ctx, status != OXP_OK && !told, status, "step %s (%s) failed", s->what, s->impl);
    return status;
}

static oxp_status run(oxp_ctx *ctx, oxp_program *p, int phase)
{
    oxp_fused *f = p->state;
    const uint32_t begin = phase == 0 ? 0 : f->first_phase1;
    const uint32_t end = phase == 0 ? f->first_phase1 : (uint32_t)f->n_steps;
    oxp_status status = OXP_OK;
    const int before = oxp_threads_enter(p->threads);
    for (uint32_t i = begin; i < end && status == OXP_OK; i++) {
        poison_dead(p, i);
        status = run_step(ctx, p, &f->steps[i]);
    }
    oxp_threads_leave(before);
    unpoison(p);
    return status;
}

/* ---- in and out ---- */

static oxp_status feed(oxp_ctx *ctx, oxp_program *p, size_t index, const oxp_tensor *t)
{
    const oxp_placed *v = ((const oxp_fused *)p->state)->vals[p->g->inputs[index]];
    const oxp_place rows = oxp_place_dense(&v->shape, OXP_LAYOUT_ROWS);
    const int64_t n = oxp_shape_elements(&v->shape);
    const size_t size = oxp_dtype_size(v->dtype);
    const oxp_allocator *hooks = oxp_arena_hooks(p->arena);
    void *converted = oxp_mem_alloc(hooks, (size_t)n * size);
    OXP_NOMEM_IF(ctx, converted);
    oxp_convert(converted, v->dtype, t->data, t->dtype, n);
    oxp_host_copy(&v->shape, size, converted, rows.stride, address(p, v), v->place.stride,
                  p->threads);
    oxp_mem_free(hooks, converted);
    return OXP_OK;
}

static oxp_status read_out(oxp_ctx *ctx, const oxp_program *p, size_t index, oxp_dtype dtype,
                           void *data)
{
    const oxp_placed *v = ((const oxp_fused *)p->state)->vals[p->g->outputs[index]];
    const oxp_place rows = oxp_place_dense(&v->shape, OXP_LAYOUT_ROWS);
    const int64_t n = oxp_shape_elements(&v->shape);
    const size_t size = oxp_dtype_size(v->dtype);
    const oxp_allocator *hooks = oxp_arena_hooks(p->arena);
    void *dense = oxp_mem_alloc(hooks, (size_t)n * size);
    OXP_NOMEM_IF(ctx, dense);
    oxp_host_copy(&v->shape, size, address(p, v), v->place.stride, dense, rows.stride, p->threads);
    oxp_convert(data, dtype, dense, v->dtype, n);
    oxp_mem_free(hooks, dense);
    return OXP_OK;
}

static void print(const oxp_program *p, oxp_strbuf *out)
{
    const oxp_fused *f = p->state;
    for (size_t i = 0; i < f->n_steps; i++) {
        const oxp_step *s = &f->steps[i];
        const oxp_placed *v = s->n_out != 0 ? f->vals[s->vals[s->n_in]] : NULL;
        char text[OXP_SHAPE_TEXT] = "";
        oxp_strbuf_printf(out, "%d %-12s %-22s", s->phase, s->what, s->impl);
        if (v != NULL)
            oxp_strbuf_printf(out, " %-18s at %zu, %zu bytes", oxp_shape_text(&v->shape, text),
                              f->storages[v->storage].offset, f->storages[v->storage].bytes);
        oxp_strbuf_printf(out, "  # %s\n", s->node->origin);
    }
}

const oxp_executor oxp_executor_fused = {
    .runs = runs, .compile = compile, .feed = feed, .run = run, .read = read_out, .print = print};
