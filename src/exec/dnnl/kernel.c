/* kernel.c - making, binding and running oneDNN primitives; packing weights. See kernel.h. */
#include "exec/dnnl/kernel.h"

enum { SCRATCH_ALIGN = 64 };

/* Below this a second thread costs more than it saves (about 2 us of work on one core). */
#define SMALL_FLOPS 200000u

/* ---- destroying, as the arena wants it ---- */

static void destroy_engine(void *p)
{
    dnnl_engine_destroy(p);
}

static void destroy_stream(void *p)
{
    dnnl_stream_destroy(p);
}

static void destroy_primitive(void *p)
{
    dnnl_primitive_destroy(p);
}

static void destroy_memory(void *p)
{
    dnnl_memory_destroy(p);
}

/* ---- engine ---- */

oxp_status oxp_dnnl_get(oxp_lower *lw, const oxp_dnnl **out)
{
    oxp_dnnl *d = lw->f->dnnl;
    if (d == NULL) {
        d = OXP_NEW(oxp_lower_arena(lw), oxp_dnnl, 1);
        OXP_NOMEM_IF(lw->ctx, d);
        OXP_DNNL_TRY(lw->ctx, dnnl_engine_create(&d->engine, dnnl_cpu, 0));
        OXP_TRY(oxp_lower_defer(lw, destroy_engine, d->engine));
        OXP_DNNL_TRY(lw->ctx, dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags));
        OXP_TRY(oxp_lower_defer(lw, destroy_stream, d->stream));
        lw->f->dnnl = d;
    }
    *out = d;
    return OXP_OK;
}

/* ---- choosing ---- */

bool oxp_impl_is_slow(const char *impl)
{
    static const char *const slow[] = {"ref", "simple_nchw", "simple:any", "nspc_bnorm"};
    for (size_t i = 0; i < OXP_COUNT(slow); i++)
        if (strncmp(impl, slow[i], strlen(slow[i])) == 0) return true;
    return false;
}

const char *oxp_offers_impl(const oxp_offers *o)
{
    const char *impl = NULL;
    if (o->pd == NULL || dnnl_primitive_desc_query(o->pd, dnnl_query_impl_info_str, 0,
                                                   (void *)&impl) != dnnl_success)
        return "";
    return impl;
}

static bool has(const char *impl, const char *word)
{
    return word != NULL && strstr(impl, word) != NULL;
}

bool oxp_offers_pick(oxp_offers *o, const char *avoid, const char *never)
{
    for (;;) {
        const char *impl = oxp_offers_impl(o);
        if (*impl == '\0' || oxp_impl_is_slow(impl)) return false;
        if (!has(impl, avoid) && !has(impl, never)) return true;
        if (oxp_offers_next(o) != dnnl_success) return false;
    }
}

/* ---- threads ---- */

int oxp_kernel_threads(const oxp_lower *lw, uint64_t flops)
{
    return flops < SMALL_FLOPS ? 1 : oxp_lower_threads(lw);
}

/* ---- kernels ---- */

oxp_status oxp_kernel_make(oxp_lower *lw, const oxp_offers *o, oxp_kernel *out)
{
    const oxp_dnnl *d;
    OXP_TRY(oxp_dnnl_get(lw, &d));
    oxp_kernel k = {.stream = d->stream};
    OXP_DNNL_TRY(lw->ctx, dnnl_primitive_create(&k.primitive, o->pd));
    OXP_TRY(oxp_lower_defer(lw, destroy_primitive, k.primitive));
    k.impl = oxp_arena_strdup(oxp_lower_arena(lw), oxp_offers_impl(o));
    OXP_NOMEM_IF(lw->ctx, k.impl);
    const oxp_md_ref scratch = dnnl_primitive_desc_query_md(o->pd, dnnl_query_scratchpad_md, 0);
    k.scratch_bytes = scratch != NULL ? dnnl_memory_desc_get_size(scratch) : 0;
    if (k.scratch_bytes != 0)
        OXP_TRY(oxp_kernel_bind(lw, &k, OXP_ROLE_SCRATCH, DNNL_ARG_SCRATCHPAD, scratch));
    *out = k;
    return OXP_OK;
}

oxp_status oxp_kernel_bind(oxp_lower *lw, oxp_kernel *k, oxp_role role, int arg, oxp_md_ref md)
{
    const oxp_dnnl *d;
    OXP_TRY(oxp_dnnl_get(lw, &d));
    OXP_DNNL_TRY(lw->ctx, dnnl_memory_create(&k->memory[role], md, d->engine, DNNL_MEMORY_NONE));
    OXP_TRY(oxp_lower_defer(lw, destroy_memory, k->memory[role]));
    k->arg[role] = arg;
    return OXP_OK;
}

oxp_status oxp_kernel_run(const oxp_kernel *k, void *const data[OXP_ROLES])
{
    dnnl_exec_arg_t args[OXP_ROLES];
    int n = 0;
    for (int role = 0; role < OXP_ROLES; role++) {
        if (k->arg[role] == 0) continue;
        if (dnnl_memory_set_data_handle(k->memory[role], data[role]) != dnnl_success)
            return OXP_EINTERNAL;
        args[n++] = (dnnl_exec_arg_t){k->arg[role], k->memory[role]};
    }
    return dnnl_primitive_execute(k->primitive, k->stream, n, args) == dnnl_success ? OXP_OK
                                                                                    : OXP_EINTERNAL;
}

/* ---- packing weights ---- */

size_t oxp_scratch_round(size_t bytes)
{
    return (bytes + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN;
}

typedef struct packer { /* for one build of an entry in the store */
    const oxp_packing *p;
    const oxp_allocator *hooks;
} packer;

static oxp_status pack(const oxp_packing *p, const float *rows, float *arranged, void *packed)
{
    if (p->arrange != NULL) p->arrange(arranged, rows, p->arg);
    void *data[OXP_ROLES] = {0};
    data[OXP_ROLE_SRC] = p->arrange != NULL ? arranged : (void *)(uintptr_t)rows;
    data[OXP_ROLE_DST] = packed;
    return oxp_kernel_run(&p->reorder, data);
}

static oxp_status pack_constant(float *dst, const float *src, void *user)
{
    const packer *b = user;
    float *arranged = NULL;
    if (b->p->arrange != NULL) {
        arranged = oxp_mem_alloc(b->hooks, b->p->arranged_bytes);
        if (arranged == NULL) return OXP_ENOMEM;
    }
    const oxp_status status = pack(b->p, src, arranged, dst);
    oxp_mem_free(b->hooks, arranged);
    return status;
}

static oxp_status make_reorder(oxp_lower *lw, const oxp_weight_spec *spec, oxp_kernel *out)
{
    const oxp_dnnl *d;
    oxp_offers o = {0};
    OXP_TRY(oxp_dnnl_get(lw, &d));
    OXP_DNNL_TRY(lw->ctx, oxp_reorder_desc(&o.pd, d->engine, spec->rows, spec->packed));
    oxp_status status = oxp_kernel_make(lw, &o, out);
    dnnl_primitive_desc_destroy(o.pd);
    if (status == OXP_OK)
        status = oxp_kernel_bind(lw, out, OXP_ROLE_SRC, DNNL_ARG_FROM, spec->rows);
    if (status == OXP_OK)
        status = oxp_kernel_bind(lw, out, OXP_ROLE_DST, DNNL_ARG_TO, spec->packed);
    return status;
}

/* The packing's name in the store: the rows, what they become, and how they are arranged. */
static oxp_status key_of(oxp_lower *lw, const oxp_weight_spec *spec, char **key, size_t *size)
{
    oxp_md_key rows, packed;
    memset(&rows, 0, sizeof rows);
    memset(&packed, 0, sizeof packed);
    oxp_md_describe(spec->rows, &rows);
    oxp_md_describe(spec->packed, &packed);
    *size = sizeof rows + sizeof packed + spec->arg_size;
    *key = oxp_arena_alloc(lw->ctx->scratch, *size, 1);
    OXP_NOMEM_IF(lw->ctx, *key);
    memcpy(*key, &rows, sizeof rows);
    memcpy(*key + sizeof rows, &packed, sizeof packed);
    if (spec->arg_size != 0) memcpy(*key + sizeof rows + sizeof packed, spec->arg, spec->arg_size);
    return OXP_OK;
}

oxp_status oxp_packing_make(oxp_lower *lw, const oxp_weight_spec *spec, oxp_packing *out,
                            oxp_val *w)
{
    const oxp_tensor *t = oxp_lower_constant(lw, spec->w);
    *out = (oxp_packing){.arrange = spec->arrange,
                         .arg = spec->arg,
                         .packed_bytes = dnnl_memory_desc_get_size(spec->packed)};
    if (spec->arrange == NULL && dnnl_memory_desc_equal(spec->rows, spec->packed)) {
        out->as_is = true;
        return oxp_lower_operand(lw, spec->w, OXP_LAYOUT_ROWS, w);
    }
    if (spec->arrange != NULL) out->arranged_bytes = dnnl_memory_desc_get_size(spec->rows);
    OXP_TRY(make_reorder(lw, spec, &out->reorder));
    if (t == NULL) return oxp_lower_operand(lw, spec->w, OXP_LAYOUT_ROWS, w);
    char *key;
    size_t key_size;
    packer p = {out, oxp_arena_hooks(oxp_lower_arena(lw))};
    *w = OXP_NO_VAL;
    OXP_TRY(key_of(lw, spec, &key, &key_size));
    return oxp_lower_weight(lw, t, key, key_size, out->packed_bytes, pack_constant, &p,
                            &out->constant);
}

size_t oxp_packing_scratch(const oxp_packing *p)
{
    if (p->constant != NULL || p->as_is) return 0;
    return oxp_scratch_round(p->arranged_bytes) + oxp_scratch_round(p->packed_bytes);
}

oxp_status oxp_packing_run(const oxp_packing *p, const float *rows, char *scratch,
                           const void **packed)
{
    *packed = p->as_is ? rows : p->constant;
    if (*packed != NULL) return OXP_OK;
    char *into = scratch + oxp_scratch_round(p->arranged_bytes);
    *packed = into;
    return pack(p, rows, (float *)(void *)scratch, into);
}
