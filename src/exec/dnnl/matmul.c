/* matmul.c - oxp_lower_matmul on oneDNN's matmul.
 *
 * Operands are read where they lie: transposed, strided and broadcast views are described by strides.
 * A constant b is packed once. Scale, bias, residual and activation are applied by the primitive in that
 * order of preference: all of them; scale and bias only, the rest as steps; the same after copying
 * operands to dense rows; at last whatever oneDNN has. */
#include "exec/dnnl/kernel.h"
#include "exec/dnnl/matmul_shape.h"
#include "ops/ops.h"

enum {
    IN_A,
    IN_B,
    IN_BIAS,
    IN_ADD0,
    IN_ADD1,
    N_IN
}; /* the step's inputs; OXP_NO_VAL where absent */

typedef struct matmul_step {
    oxp_kernel kernel;
    oxp_packing packing;
    bool packed;
} matmul_step;

typedef struct matmul_job {
    oxp_matmul mm;
    oxp_post post;
    oxp_val a, b, bias, residual, y;
} matmul_job;

/* ---- running ---- */

static oxp_status run_matmul(const oxp_host_call *call)
{
    const matmul_step *s = call->args;
    const void *b = call->ptr[IN_B];
    if (s->packed)
        OXP_TRY(oxp_packing_run(&s->packing, call->ptr[IN_B],
                                (char *)call->scratch + oxp_scratch_round(s->kernel.scratch_bytes),
                                &b));
    void *data[OXP_ROLES] = {
        [OXP_ROLE_SRC] = call->ptr[IN_A],     [OXP_ROLE_WEIGHTS] = (void *)(uintptr_t)b,
        [OXP_ROLE_DST] = call->ptr[N_IN],     [OXP_ROLE_BIAS] = call->ptr[IN_BIAS],
        [OXP_ROLE_ADD0] = call->ptr[IN_ADD0], [OXP_ROLE_ADD1] = call->ptr[IN_ADD1],
        [OXP_ROLE_SCRATCH] = call->scratch};
    return oxp_kernel_run(&s->kernel, data);
}

/* ---- geometry ---- */

/* Constants are described as they are stored, without giving them a place: they may end up packed only. */
static void strides_of(oxp_lower *lw, oxp_val v, const oxp_shape *over,
                       int64_t stride[OXP_MAX_RANK])
{
    if (oxp_lower_constant(lw, v) == NULL) {
        OXP_UNUSED(oxp_lower_place(lw, v));
        oxp_lower_strides(lw, v, over, stride);
        return;
    }
    const oxp_shape *shape = &oxp_lower_at(lw, v)->shape;
    const oxp_place rows = oxp_place_dense(shape, OXP_LAYOUT_ROWS);
    const int shift = over->rank - shape->rank;
    for (int i = 0; i < over->rank; i++)
        stride[i] = i < shift || shape->dim[i - shift] == 1 ? 0 : rows.stride[i - shift];
}

/* The result's leading axes followed by v's own last two. */
static oxp_shape over_lead(const oxp_shape *y, const oxp_shape *v)
{
    oxp_shape s = *y;
    s.dim[s.rank - 2] = v->dim[v->rank - 2];
    s.dim[s.rank - 1] = v->dim[v->rank - 1];
    return s;
}

static void describe(oxp_lower *lw, const matmul_job *job, oxp_mm_shape *s)
{
    const oxp_shape *a = &oxp_lower_at(lw, job->a)->shape, *b = &oxp_lower_at(lw, job->b)->shape;
    const oxp_shape *y = &oxp_lower_at(lw, job->y)->shape;
    const oxp_shape over_a = over_lead(y, a), over_b = over_lead(y, b);
    const oxp_val add[2] = {job->bias, job->residual};
    int64_t stride[OXP_MAX_RANK];
    *s = (oxp_mm_shape){.leads = y->rank - 2, .m = y->dim[y->rank - 2], .n = y->dim[y->rank - 1]};
    s->k = a->dim[a->rank - (job->mm.trans_a ? 2 : 1)];
    for (int i = 0; i < s->leads; i++) s->lead[i] = y->dim[i];
    strides_of(lw, job->a, &over_a, stride);
    oxp_mm_set(s, OXP_MM_A, stride, job->mm.trans_a);
    strides_of(lw, job->b, &over_b, stride);
    oxp_mm_set(s, OXP_MM_B, stride, job->mm.trans_b);
    oxp_lower_strides(lw, job->y, y, stride);
    oxp_mm_set(s, OXP_MM_Y, stride, false);
    for (int i = 0; i < 2; i++) {
        if (add[i] == OXP_NO_VAL) continue;
        strides_of(lw, add[i], y, stride);
        oxp_mm_set(s, OXP_MM_ADD0 + i, stride, false);
    }
}

/* Operands that no kernel can read in place, or all with `all`, become dense rows. */
static oxp_status settle_operands(oxp_lower *lw, matmul_job *job, bool all, oxp_mm_shape *s)
{
    describe(lw, job, s);
    OXP_TRY(lw->status);
    if (all || !oxp_mm_readable(s, OXP_MM_A))
        OXP_TRY(oxp_lower_operand(lw, job->a, OXP_LAYOUT_ROWS, &job->a));
    if (all || !oxp_mm_readable(s, OXP_MM_B))
        OXP_TRY(oxp_lower_operand(lw, job->b, OXP_LAYOUT_ROWS, &job->b));
    describe(lw, job, s);
    oxp_mm_collapse(s);
    return lw->status;
}

/* The only node that reads v; NULL when there are several or v is a result of the graph. */
static const oxp_node *only_reader(const oxp_graph *g, oxp_val v)
{
    const oxp_node *reader = NULL;
    for (size_t i = 0; i < g->n_outputs; i++)
        if (g->outputs[i] == v) return NULL;
    for (size_t i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; k < g->nodes[i]->n_in; k++) {
            if (g->nodes[i]->in[k] != v) continue;
            if (reader != NULL) return NULL;
            reader = g->nodes[i];
        }
    return reader;
}

/* A product whose rows are about to be transposed with its leading axes (the heads of an attention, merged again) is
 * written in that order at once: the kernel takes any stride between rows, and no copy follows. */
static oxp_status declare_result(oxp_lower *lw, const matmul_job *job)
{
    const oxp_node *reader = only_reader(lw->program->g, job->y);
    const oxp_shape *y = &oxp_lower_at(lw, job->y)->shape;
    const bool plain = job->bias == OXP_NO_VAL && job->residual == OXP_NO_VAL;
    size_t n = 0;
    const int64_t *perm = NULL;
    if (reader != NULL && reader->op == &oxp_op_Transpose && plain)
        perm = oxp_attr_ints(reader, "perm", &n);
    if (perm == NULL || n != (size_t)y->rank || perm[n - 1] != (int64_t)n - 1)
        return oxp_lower_result(lw, job->y, OXP_LAYOUT_ROWS);
    oxp_place place = {0};
    int64_t stride = 1;
    for (size_t i = n; i-- > 0;) {
        place.stride[perm[i]] = stride;
        stride *= y->dim[perm[i]];
    }
    return oxp_lower_result_at(lw, job->y, &place);
}

/* ---- building ---- */

typedef struct matmul_mds {
    oxp_md of[OXP_MM_OPERANDS], any; /* any: b in the layout of oneDNN's choice */
} matmul_mds;

static void free_mds(matmul_mds *m)
{
    for (int i = 0; i < OXP_MM_OPERANDS; i++) oxp_md_free(&m->of[i]);
    oxp_md_free(&m->any);
}

static oxp_status make_mds(oxp_lower *lw, const oxp_mm_shape *s, matmul_mds *m)
{
    dnnl_status_t status = dnnl_success;
    *m = (matmul_mds){0};
    for (int i = 0; i < OXP_MM_OPERANDS && status == dnnl_success; i++) {
        int64_t dim[OXP_MAX_RANK], stride[OXP_MAX_RANK];
        dnnl_dims_t dims = {0}, strides = {0};
        if (!s->of[i].used) continue;
        const int rank = oxp_mm_dims(s, (oxp_mm_operand)i, dim, stride);
        for (int a = 0; a < rank; a++) {
            dims[a] = dim[a];
            strides[a] = stride[a];
        }
        status = oxp_md_strides(&m->of[i], rank, dims, strides);
        if (i == OXP_MM_B && status == dnnl_success)
            status = oxp_md_tag(&m->any, rank, dims, dnnl_format_tag_any);
    }
    if (status != dnnl_success) free_mds(m);
    OXP_DNNL_TRY(lw->ctx, status);
    return OXP_OK;
}

typedef struct plan { /* one attempt */
    bool fuse;        /* adds and function */
    bool slow_too;
    bool native_bias; /* as oneDNN's bias; else an add */
    oxp_post_spec spec;
} plan;

static oxp_val add_val(const matmul_job *job, int i)
{
    return i == 0 ? job->bias : job->residual;
}

static void make_plan(const matmul_job *job, const oxp_mm_shape *s, const matmul_mds *m, plan *p)
{
    const bool unit = job->mm.alpha >= 1.0 && job->mm.alpha <= 1.0;
    p->native_bias = job->bias != OXP_NO_VAL && unit && oxp_mm_is_row(s, OXP_MM_ADD0);
    p->spec = (oxp_post_spec){.scale = (float)job->mm.alpha};
    for (int i = 0; i < 2 && p->fuse; i++)
        if (add_val(job, i) != OXP_NO_VAL && !(i == 0 && p->native_bias))
            p->spec.add[i] = oxp_md_of(&m->of[OXP_MM_ADD0 + i]);
    if (p->fuse) p->spec.post = job->post;
}

static oxp_status find_offer(oxp_lower *lw, const matmul_mds *m, const plan *p, bool constant,
                             oxp_md_ref bias, oxp_offers *o)
{
    const oxp_dnnl *dnnl = lw->f->dnnl;
    dnnl_primitive_attr_t attr;
    *o = (oxp_offers){0};
    OXP_TRY(oxp_attr_make(lw, &p->spec, &attr));
    const dnnl_status_t status = oxp_offers_matmul(
        o, dnnl->engine, attr, oxp_md_of(&m->of[OXP_MM_A]),
        oxp_md_of(constant ? &m->any : &m->of[OXP_MM_B]), bias, oxp_md_of(&m->of[OXP_MM_Y]));
    dnnl_primitive_attr_destroy(attr);
    if (status == dnnl_success && (p->slow_too || oxp_offers_pick(o, NULL, NULL))) return OXP_OK;
    oxp_offers_free(o);
    if (status != dnnl_unimplemented && status != dnnl_invalid_arguments)
        OXP_DNNL_TRY(lw->ctx, status);
    return OXP_OK;
}

static oxp_status bind_all(oxp_lower *lw, const matmul_mds *m, const plan *p, oxp_md_ref weights,
                           oxp_md_ref bias, oxp_kernel *k)
{
    OXP_TRY(oxp_kernel_bind(lw, k, OXP_ROLE_SRC, DNNL_ARG_SRC, oxp_md_of(&m->of[OXP_MM_A])));
    OXP_TRY(oxp_kernel_bind(lw, k, OXP_ROLE_WEIGHTS, DNNL_ARG_WEIGHTS, weights));
    OXP_TRY(oxp_kernel_bind(lw, k, OXP_ROLE_DST, DNNL_ARG_DST, oxp_md_of(&m->of[OXP_MM_Y])));
    if (bias != NULL) OXP_TRY(oxp_kernel_bind(lw, k, OXP_ROLE_BIAS, DNNL_ARG_BIAS, bias));
    for (int i = 0; i < 2; i++)
        if (p->spec.add[i] != NULL)
            OXP_TRY(oxp_kernel_bind(lw, k, i == 0 ? OXP_ROLE_ADD0 : OXP_ROLE_ADD1,
                                    oxp_attr_add_arg(&p->spec, i), p->spec.add[i]));
    return OXP_OK;
}

static oxp_status append(oxp_lower *lw, const matmul_job *job, const plan *p, matmul_step *s,
                         oxp_val b, uint64_t flops)
{
    oxp_val in[N_IN] = {job->a, b};
    if (p->native_bias) in[IN_BIAS] = job->bias;
    if (p->spec.add[0] != NULL) in[IN_ADD0] = job->bias;
    if (p->spec.add[1] != NULL) in[IN_ADD1] = job->residual;
    size_t scratch = oxp_scratch_round(s->kernel.scratch_bytes);
    if (s->packed) scratch += oxp_packing_scratch(&s->packing);
    oxp_ctx_log(lw->ctx, "dispatch", "matmul '%s': %s%s", lw->node->origin, s->kernel.impl,
                p->slow_too ? ", SLOW: oneDNN has nothing better" : "");
    return oxp_lower_step(lw, "matmul", s->kernel.impl, run_matmul, s, in, N_IN, &job->y, 1,
                          scratch, flops);
}

static oxp_status make_step(oxp_lower *lw, const matmul_job *job, const matmul_mds *m,
                            const plan *p, const oxp_offers *o, oxp_md_ref bias, matmul_step *s,
                            oxp_val *b)
{
    const oxp_md_ref weights = dnnl_primitive_desc_query_md(o->pd, dnnl_query_weights_md, 0);
    OXP_TRY(oxp_kernel_make(lw, o, &s->kernel));
    OXP_TRY(bind_all(lw, m, p, weights, bias, &s->kernel));
    s->packed = oxp_lower_constant(lw, job->b) != NULL;
    *b = job->b;
    if (!s->packed) return OXP_OK;
    const oxp_weight_spec spec = {
        .w = job->b, .rows = oxp_md_of(&m->of[OXP_MM_B]), .packed = weights};
    return oxp_packing_make(lw, &spec, &s->packing, b);
}

/* Appends the step if oneDNN has an implementation for this attempt; *done says whether. */
static oxp_status try_plan(oxp_lower *lw, const matmul_job *job, const oxp_mm_shape *shape, plan *p,
                           bool *done)
{
    matmul_mds m;
    oxp_offers o;
    oxp_val b = OXP_NO_VAL;
    matmul_step *s = OXP_NEW(oxp_lower_arena(lw), matmul_step, 1);
    OXP_NOMEM_IF(lw->ctx, s);
    OXP_TRY(make_mds(lw, shape, &m));
    make_plan(job, shape, &m, p);
    const oxp_md_ref bias = p->native_bias ? oxp_md_of(&m.of[OXP_MM_ADD0]) : NULL;
    oxp_status status = find_offer(lw, &m, p, oxp_lower_constant(lw, job->b) != NULL, bias, &o);
    *done = status == OXP_OK && o.pd != NULL;
    if (*done) status = make_step(lw, job, &m, p, &o, bias, s, &b);
    if (*done) oxp_offers_free(&o);
    free_mds(&m);
    return status == OXP_OK && *done ? append(lw, job, p, s, b, oxp_mm_flops(shape)) : status;
}

static oxp_status build(oxp_lower *lw, matmul_job *job)
{
    const oxp_dnnl *dnnl;
    oxp_mm_shape shape;
    plan p = {0};
    bool done = false;
    OXP_TRY(oxp_dnnl_get(lw, &dnnl));
    for (int rows = 0; rows <= 1 && !done; rows++) {
        OXP_TRY(settle_operands(lw, job, rows != 0, &shape));
        for (int fuse = oxp_post_fusable(&job->post); fuse >= 0 && !done; fuse--) {
            p = (plan){.fuse = fuse != 0};
            OXP_TRY(try_plan(lw, job, &shape, &p, &done));
        }
    }
    if (!done) {
        p = (plan){.slow_too = true};
        OXP_TRY(try_plan(lw, job, &shape, &p, &done));
    }
    OXP_FAIL_IF(lw->ctx, !done, OXP_EUNSUPPORTED,
                "oneDNN offers no implementation of this product");
    if (p.fuse) return OXP_OK;
    const oxp_val add[2] = {p.native_bias ? OXP_NO_VAL : job->bias, job->residual};
    return oxp_post_steps(lw, add, &job->post, job->y);
}

oxp_status oxp_lower_matmul(oxp_lower *lw, const oxp_matmul *mm, const oxp_post *post, oxp_val a,
                            oxp_val b, oxp_val bias, oxp_val residual, oxp_val y)
{
    matmul_job job = {*mm, *post, a, b, bias, residual, y};
    const oxp_shape *as = &oxp_lower_at(lw, a)->shape;
    if (oxp_shape_elements(as) == 0 || oxp_shape_elements(&oxp_lower_at(lw, y)->shape) == 0)
        return oxp_lower_by_ref(lw, lw->node);
    OXP_TRY(declare_result(lw, &job));
    const int before = oxp_threads_enter(oxp_lower_threads(lw));
    const oxp_status status = build(lw, &job);
    oxp_threads_leave(before);
    return status;
}
