/* steps.c - appends steps: the general one, copies between parts of values, and the fall-back
 * that runs an operator's `ref`. Keeps the lifetimes of storages up to date as steps are added. */
#include "base/checked.h"
#include "exec/host.h"
#include <string.h>

static void touch(oxp_lower *lw, uint32_t storage)
{
    oxp_storage *s = &lw->f->storages[storage];
    const uint32_t step = (uint32_t)lw->f->n_steps;
    if (s->first == UINT32_MAX) s->first = step;
    s->last = step;
}

/* May this step read v? Yes while v is what its storage holds, or if the step itself overwrites v
 * in place. */
static bool readable(oxp_lower *lw, const oxp_placed *p)
{
    const oxp_storage *s = &lw->f->storages[p->storage];
    return p->version == s->version || (p->version + 1 == s->version && s->written != s->version);
}

static oxp_status touch_all(oxp_lower *lw, const char *what, const oxp_val *in, size_t n_in,
                            const oxp_val *out, size_t n_out)
{
    for (size_t i = 0; i < n_in; i++) {
        if (in[i] == OXP_NO_VAL) continue;
        OXP_UNUSED(oxp_lower_place(lw, in[i]));
        OXP_TRY(lw->status);
        const oxp_placed *p = oxp_lower_at(lw, in[i]);
        OXP_FAIL_IF(lw->ctx, !readable(lw, p), OXP_EINTERNAL,
                    "step %s reads value %u, which an earlier step overwrote in place", what,
                    in[i]);
        touch(lw, p->storage);
    }
    for (size_t i = 0; i < n_out; i++) {
        if (out[i] == OXP_NO_VAL) continue;
        const oxp_placed *p = oxp_lower_at(lw, out[i]);
        OXP_FAIL_IF(lw->ctx, !oxp_is_placed(p), OXP_EINTERNAL,
                    "step %s writes value %u, which has no storage", what, out[i]);
        OXP_FAIL_IF(lw->ctx, lw->f->storages[p->storage].constant != NULL, OXP_EINTERNAL,
                    "step %s writes value %u, a constant", what, out[i]);
        lw->f->storages[p->storage].written = lw->f->storages[p->storage].version;
        touch(lw, p->storage);
    }
    return OXP_OK;
}

static oxp_status add_scratch(oxp_lower *lw, oxp_step *step)
{
    oxp_fused *f = lw->f;
    if (step->scratch_bytes == 0) return OXP_OK;
    OXP_FAIL_IF(lw->ctx,
                !oxp_arena_grow(oxp_lower_arena(lw), &f->storages, f->n_storages, &f->cap_storages,
                                sizeof *f->storages),
                OXP_ENOMEM, "out of memory");
    const uint32_t at = (uint32_t)f->n_steps;
    f->storages[f->n_storages] =
        (oxp_storage){.bytes = step->scratch_bytes, .first = at, .last = at, .phase = lw->phase};
    step->scratch = (uint32_t)f->n_storages++;
    return OXP_OK;
}

oxp_status oxp_lower_step(oxp_lower *lw, const char *what, const char *impl, oxp_host_fn fn,
                          const void *args, const oxp_val *in, size_t n_in, const oxp_val *out,
                          size_t n_out, size_t scratch_bytes, uint64_t flops)
{
    oxp_fused *f = lw->f;
    oxp_arena *arena = oxp_lower_arena(lw);
    OXP_TRY(touch_all(lw, what, in, n_in, out, n_out));
    oxp_val *vals = OXP_NEW(arena, oxp_val, n_in + n_out + 1);
    void **ptr = OXP_NEW(arena, void *, n_in + n_out + 1);
    const bool grown =
        oxp_arena_grow(arena, &f->steps, f->n_steps, &f->cap_steps, sizeof *f->steps);
    OXP_FAIL_IF(lw->ctx, vals == NULL || ptr == NULL || !grown, OXP_ENOMEM, "out of memory");
    if (n_in != 0) memcpy(vals, in, n_in * sizeof *in);
    if (n_out != 0) memcpy(vals + n_in, out, n_out * sizeof *out);
    oxp_step *step = &f->steps[f->n_steps];
    *step = (oxp_step){.what = what,
                       .impl = impl,
                       .node = lw->node,
                       .run = fn,
                       .args = args,
                       .n_in = (uint32_t)n_in,
                       .n_out = (uint32_t)n_out,
                       .vals = vals,
                       .ptr = ptr,
                       .scratch_bytes = scratch_bytes,
                       .scratch = OXP_NO_STORAGE,
                       .phase = lw->phase,
                       .flops = flops};
    OXP_TRY(add_scratch(lw, step));
    f->n_steps++;
    return OXP_OK;
}

oxp_status oxp_lower_host(oxp_lower *lw, const char *what, oxp_host_fn fn, const void *args,
                          const oxp_val *in, size_t n_in, const oxp_val *out, size_t n_out,
                          size_t scratch_bytes)
{
    return oxp_lower_step(lw, what, "host", fn, args, in, n_in, out, n_out, scratch_bytes, 0);
}

/* ---- parts ---- */

oxp_part oxp_lower_whole(oxp_lower *lw, oxp_val v)
{
    const oxp_place *place = oxp_lower_place(lw, v);
    const oxp_placed *p = oxp_lower_at(lw, v);
    oxp_part part = {.val = v, .rank = p->shape.rank, .place = *place};
    memcpy(part.dim, p->shape.dim, sizeof part.dim);
    return part;
}

void oxp_part_narrow(oxp_part *p, int axis, int64_t start, int64_t count, int64_t step)
{
    p->place.offset += start * p->place.stride[axis];
    p->place.stride[axis] *= step;
    p->dim[axis] = count;
}

/* ---- an operator's own reference ---- */

typedef struct by_ref {
    oxp_program *program;
    const oxp_node *node;
    oxp_arena *scratch; /* for the `ref` */
    const double **in;
    double **out;     /* both point into the step's scratch while it runs */
    oxp_shape *shape; /* inputs, then outputs */
    oxp_dtype *dtype;
} by_ref;

static double *widen(double **next, const oxp_shape *shape)
{
    double *at = *next;
    *next += oxp_shape_elements(shape);
    return at;
}

static oxp_status run_ref(const oxp_host_call *c)
{
    const by_ref *a = c->args;
    const oxp_node *node = a->node;
    double *next = c->scratch;
    for (uint32_t i = 0; i < node->n_in; i++) {
        a->in[i] = NULL;
        if (c->ptr[i] == NULL) continue;
        double *wide = widen(&next, &a->shape[i]);
        oxp_convert(wide, OXP_F64, c->ptr[i], a->dtype[i], oxp_shape_elements(&a->shape[i]));
        a->in[i] = wide;
    }
    for (uint32_t i = 0; i < node->n_out; i++) {
        const oxp_shape *shape = &a->shape[node->n_in + i];
        a->out[i] = c->ptr[node->n_in + i] != NULL ? widen(&next, shape) : NULL;
        if (a->out[i] != NULL)
            memset(a->out[i], 0, (size_t)oxp_shape_elements(shape) * sizeof(double));
    }
    const oxp_call call = {
        a->program->run_ctx,   a->scratch,           node, a->in, a->shape, a->dtype, a->out,
        a->shape + node->n_in, a->dtype + node->n_in};
    const oxp_status status = node->op->ref(&call);
    oxp_arena_reset(a->scratch);
    OXP_TRY(status);
    for (uint32_t i = 0; i < node->n_out; i++)
        if (a->out[i] != NULL)
            oxp_convert(c->ptr[node->n_in + i], a->dtype[node->n_in + i], a->out[i], OXP_F64,
                        oxp_shape_elements(&a->shape[node->n_in + i]));
    return OXP_OK;
}

static oxp_status describe(oxp_lower *lw, by_ref *a, uint32_t at, oxp_val v, int64_t *elements)
{
    if (v == OXP_NO_VAL) return OXP_OK;
    const oxp_value *value = oxp_value_of(lw->program->g, v);
    a->shape[at] = value->shape;
    a->dtype[at] = value->dtype;
    OXP_FAIL_IF(lw->ctx, !oxp_add_i64(*elements, oxp_shape_elements(&value->shape), elements),
                OXP_ELIMIT, "the values of one node exceed the address space");
    return OXP_OK;
}

oxp_status oxp_lower_by_ref(oxp_lower *lw, const oxp_node *node)
{
    oxp_arena *arena = oxp_lower_arena(lw);
    by_ref *a = OXP_NEW(arena, by_ref, 1);
    OXP_NOMEM_IF(lw->ctx, a);
    *a = (by_ref){.program = lw->program, .node = node};
    a->in = OXP_NEW(arena, const double *, node->n_in + 1);
    a->out = OXP_NEW(arena, double *, node->n_out);
    a->shape = OXP_NEW(arena, oxp_shape, node->n_in + node->n_out);
    a->dtype = OXP_NEW(arena, oxp_dtype, node->n_in + node->n_out);
    oxp_val *in = OXP_NEW(arena, oxp_val, node->n_in + 1);
    a->scratch = oxp_arena_new(oxp_arena_hooks(arena));
    OXP_NOMEM_IF(lw->ctx, a->scratch);
    OXP_TRY(oxp_lower_defer(lw, oxp_arena_end, a->scratch));
    OXP_FAIL_IF(lw->ctx, !a->in || !a->out || !a->shape || !a->dtype || !in, OXP_ENOMEM,
                "out of memory");
    int64_t elements = 0;
    for (uint32_t i = 0; i < node->n_in; i++) {
        OXP_TRY(describe(lw, a, i, node->in[i], &elements));
        if (node->in[i] != OXP_NO_VAL)
            OXP_TRY(oxp_lower_operand(lw, node->in[i], OXP_LAYOUT_ROWS, &in[i]));
    }
    for (uint32_t i = 0; i < node->n_out; i++) {
        OXP_TRY(describe(lw, a, node->n_in + i, node->out[i], &elements));
        if (node->out[i] != OXP_NO_VAL)
            OXP_TRY(oxp_lower_result(lw, node->out[i], OXP_LAYOUT_ROWS));
    }
    size_t bytes;
    OXP_FAIL_IF(lw->ctx, !oxp_mul_size((size_t)elements, sizeof(double), &bytes), OXP_ELIMIT,
                "the values of one node exceed the address space");
    return oxp_lower_host(lw, node->op->name, run_ref, a, in, node->n_in, node->out, node->n_out,
                          bytes);
}
