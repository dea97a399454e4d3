/* conv.c - oxp_lower_conv and oxp_lower_conv_grad_x on oneDNN's convolution.
 *
 * conv_form.c proposes forms, best first; this file builds the first one for which oneDNN has a fast
 * implementation. Bias, residual and activation are applied by the primitive; where that costs the fast
 * implementation they become steps of their own. When nothing fast exists the reference implementation
 * runs, and the log (topic "dispatch") says so. */
#include "exec/dnnl/conv_form.h"
#include "exec/dnnl/kernel.h"

enum { IN_X, IN_W, IN_BIAS, IN_RESIDUAL, N_IN }; /* the step's inputs; OXP_NO_VAL where absent */

typedef struct conv_step {
    oxp_conv_form form, arrangement; /* the latter: only what the weights depend on */
    oxp_kernel kernel;
    oxp_packing weights;
    size_t staging_bytes; /* REPEAT: the wide input (forward) or result; BLOCK: the blocks */
} conv_step;

/* ---- running ---- */

static int64_t pixels(const oxp_conv *c)
{
    return c->n * c->in[0] * c->in[1] * c->in[2];
}

static bool stages_input(const oxp_conv_form *f)
{
    return f->repeat > 1 && !f->backward && f->kind == OXP_CONV_DIRECT;
}

static bool stages_result(const oxp_conv_form *f)
{
    return f->kind == OXP_CONV_BLOCK || (f->repeat > 1 && !stages_input(f));
}

static oxp_status run_conv(const oxp_host_call *call)
{
    const conv_step *s = call->args;
    const oxp_conv_form *f = &s->form;
    char *const staging = (char *)call->scratch + oxp_scratch_round(s->kernel.scratch_bytes);
    float *const wide = (float *)(void *)staging;
    float *const result = call->ptr[N_IN];
    const void *weights;
    OXP_TRY(oxp_packing_run(&s->weights, call->ptr[IN_W],
                            staging + oxp_scratch_round(s->staging_bytes), &weights));
    void *data[OXP_ROLES] = {[OXP_ROLE_SRC] = call->ptr[IN_X],
                             [OXP_ROLE_WEIGHTS] = (void *)(uintptr_t)weights,
                             [OXP_ROLE_DST] = result,
                             [OXP_ROLE_BIAS] = call->ptr[IN_BIAS],
                             [OXP_ROLE_ADD0] = call->ptr[IN_RESIDUAL],
                             [OXP_ROLE_SCRATCH] = call->scratch};
    const int64_t narrow = f->original.c / f->repeat, n = pixels(&f->original);
    if (stages_input(f)) {
        oxp_conv_repeat(wide, call->ptr[IN_X], n, narrow, f->repeat, call->threads);
        data[OXP_ROLE_SRC] = wide;
    }
    if (stages_result(f)) data[OXP_ROLE_DST] = wide;
    OXP_TRY(oxp_kernel_run(&s->kernel, data));
    if (f->kind == OXP_CONV_BLOCK)
        oxp_conv_deal(result, wide, f, call->threads);
    else if (stages_result(f))
        oxp_conv_sum(result, wide, n, narrow, f->repeat, call->threads);
    return OXP_OK;
}

/* ---- describing ---- */

typedef struct conv_mds {
    oxp_md src, weights, rows, bias,
        dst; /* weights in the layout of oneDNN's choice; rows: as we have them */
} conv_mds;

static void free_mds(conv_mds *m)
{
    oxp_md_free(&m->src);
    oxp_md_free(&m->weights);
    oxp_md_free(&m->rows);
    oxp_md_free(&m->bias);
    oxp_md_free(&m->dst);
}

static dnnl_status_t activation_md(oxp_md *m, const oxp_conv *c, int64_t channels,
                                   const int64_t cells[3])
{
    const dnnl_dims_t dims = {c->n, channels, cells[0], cells[1], cells[2]};
    return oxp_md_tag(m, 2 + c->axes, dims, c->axes == 3 ? dnnl_acdeb : dnnl_acdb);
}

/* ((g,) K/g, C/g, kernel...) */
static dnnl_status_t weights_md(oxp_md *m, const oxp_conv *c, bool any)
{
    dnnl_dims_t dims;
    int rank = 0;
    if (c->group > 1) dims[rank++] = c->group;
    dims[rank++] = c->k / c->group;
    dims[rank++] = c->c / c->group;
    for (int a = 0; a < c->axes; a++) dims[rank++] = c->kernel[a];
    const dnnl_format_tag_t rows = rank == 4 ? dnnl_abcd : rank == 5 ? dnnl_abcde : dnnl_abcdef;
    return oxp_md_tag(m, rank, dims, any ? dnnl_format_tag_any : rows);
}

static oxp_status make_mds(oxp_lower *lw, const oxp_conv *c, conv_mds *m)
{
    const dnnl_dims_t bias = {c->k};
    *m = (conv_mds){0};
    dnnl_status_t status = activation_md(&m->src, c, c->c, c->in);
    if (status == dnnl_success) status = activation_md(&m->dst, c, c->k, c->out);
    if (status == dnnl_success) status = weights_md(&m->weights, c, true);
    if (status == dnnl_success) status = weights_md(&m->rows, c, false);
    if (status == dnnl_success) status = oxp_md_tag(&m->bias, 1, bias, dnnl_a);
    if (status != dnnl_success) free_mds(m);
    OXP_DNNL_TRY(lw->ctx, status);
    return OXP_OK;
}

static void fill_desc(const oxp_conv *c, const conv_mds *m, bool bias, oxp_conv_desc *d)
{
    *d = (oxp_conv_desc){.src = oxp_md_of(&m->src),
                         .weights = oxp_md_of(&m->weights),
                         .bias = bias ? oxp_md_of(&m->bias) : NULL,
                         .dst = oxp_md_of(&m->dst)};
    for (int a = 0; a < c->axes; a++) {
        d->strides[a] = c->stride[a];
        d->dilates[a] = c->dilation[a] - 1;
        d->pad_begin[a] = c->pad_begin[a];
        d->pad_end[a] = c->pad_end[a];
    }
}

/* ---- building one form ---- */

typedef struct conv_job { /* what the graph asks for */
    const char *what;
    oxp_conv conv; /* lifted */
    bool adjoint;
    oxp_post post;
    oxp_val x, w, bias, residual, y; /* x, y: dy and dx of an adjoint */
    uint64_t flops;
} conv_job;

/* How much of bias, residual and activation the primitive takes along. */
typedef enum fusion { FUSE_ALL, FUSE_BIAS } fusion;

static dnnl_status_t offer(oxp_lower *lw, const oxp_conv_form *f, dnnl_primitive_attr_t attr,
                           const oxp_conv_desc *d, oxp_offers *o)
{
    const oxp_dnnl *dnnl = lw->f->dnnl;
    *o = (oxp_offers){0};
    return f->backward ? oxp_offers_conv_back(o, dnnl->engine, attr, d)
                       : oxp_offers_conv(o, dnnl->engine, attr, d);
}

/* An implementation of the form: a fast one, or with `slow_too` the first there is. *o is empty when there is none.
 * The one on gemm adds a channels-last residual wrongly (oneDNN 2.6.3). */
static oxp_status find_offer(oxp_lower *lw, const oxp_conv_form *f, dnnl_primitive_attr_t attr,
                             const oxp_conv_desc *d, bool residual, bool slow_too, oxp_offers *o)
{
    const char *const avoid[] = {f->avoid, NULL}, *const never = residual ? "gemm" : NULL;
    for (int i = f->avoid == NULL; i < 2; i++) {
        const dnnl_status_t status = offer(lw, f, attr, d, o);
        const bool refused = status == dnnl_unimplemented || status == dnnl_invalid_arguments;
        if (status == dnnl_success && (slow_too || oxp_offers_pick(o, avoid[i], never)))
            return OXP_OK;
        oxp_offers_free(o);
        if (!refused) OXP_DNNL_TRY(lw->ctx, status);
    }
    return OXP_OK;
}

static oxp_status bind_all(oxp_lower *lw, const conv_job *job, const conv_mds *m,
                           const oxp_post_spec *spec, oxp_kernel *k, oxp_md_ref packed,
                           bool backward)
{
    OXP_TRY(oxp_kernel_bind(lw, k, OXP_ROLE_SRC, backward ? DNNL_ARG_DIFF_DST : DNNL_ARG_SRC,
                            oxp_md_of(backward ? &m->dst : &m->src)));
    OXP_TRY(oxp_kernel_bind(lw, k, OXP_ROLE_DST, backward ? DNNL_ARG_DIFF_SRC : DNNL_ARG_DST,
                            oxp_md_of(backward ? &m->src : &m->dst)));
    OXP_TRY(oxp_kernel_bind(lw, k, OXP_ROLE_WEIGHTS, DNNL_ARG_WEIGHTS, packed));
    if (job->bias != OXP_NO_VAL)
        OXP_TRY(oxp_kernel_bind(lw, k, OXP_ROLE_BIAS, DNNL_ARG_BIAS, oxp_md_of(&m->bias)));
    if (spec->add[0] != NULL)
        OXP_TRY(oxp_kernel_bind(lw, k, OXP_ROLE_ADD0, oxp_attr_add_arg(spec, 0), spec->add[0]));
    return OXP_OK;
}

static oxp_status pack(oxp_lower *lw, const conv_job *job, const conv_mds *m, oxp_md_ref packed,
                       conv_step *s, oxp_val *w)
{
    static const oxp_arrange_fn arrange[] = {[OXP_CONV_DIRECT] = NULL,
                                             [OXP_CONV_FLIP] = oxp_conv_flip_weights,
                                             [OXP_CONV_BLOCK] = oxp_conv_block_weights};
    const bool moves = arrange[s->form.kind] != NULL;
    oxp_conv_form_weights(&s->form, &s->arrangement);
    const oxp_weight_spec spec = {.w = job->w,
                                  .rows = oxp_md_of(&m->rows),
                                  .packed = packed,
                                  .arrange = arrange[s->form.kind],
                                  .arg = &s->arrangement,
                                  .arg_size = moves ? sizeof s->arrangement : 0};
    return oxp_packing_make(lw, &spec, &s->weights, w);
}

static size_t staging_bytes(const oxp_conv_form *f)
{
    const oxp_conv *q = &f->conv;
    int64_t floats = 0;
    if (stages_input(f) || f->backward) floats = pixels(q) * q->c;
    if (!f->backward && stages_result(f)) floats = q->n * q->out[0] * q->out[1] * q->out[2] * q->k;
    return stages_input(f) || stages_result(f) ? (size_t)floats * sizeof(float) : 0;
}

static oxp_status append(oxp_lower *lw, const conv_job *job, conv_step *s, const oxp_val in[N_IN])
{
    const char *name = oxp_conv_form_name(&s->form);
    const bool plain = s->form.kind == OXP_CONV_DIRECT && s->form.repeat == 1;
    const char *impl = plain ? s->kernel.impl
                             : oxp_arena_printf(oxp_lower_arena(lw), "%s %s", name, s->kernel.impl);
    OXP_NOMEM_IF(lw->ctx, impl);
    s->staging_bytes = staging_bytes(&s->form);
    const size_t scratch = oxp_scratch_round(s->kernel.scratch_bytes) +
                           oxp_scratch_round(s->staging_bytes) + oxp_packing_scratch(&s->weights);
    oxp_ctx_log(lw->ctx, "dispatch", "%s '%s': %s%s (%s)", job->what, lw->node->origin, impl,
                oxp_impl_is_slow(s->kernel.impl) ? ", SLOW: oneDNN has nothing better" : "",
                s->form.why);
    return oxp_lower_step(lw, job->what, impl, run_conv, s, in, N_IN, &job->y, 1, scratch,
                          job->flops);
}

/* Appends the step in this form if oneDNN has it; *done says whether. */
static oxp_status try_form(oxp_lower *lw, const conv_job *job, const oxp_conv_form *form,
                           fusion fuse, bool slow_too, bool *done)
{
    conv_mds m;
    oxp_conv_desc d;
    oxp_offers o;
    dnnl_primitive_attr_t attr;
    oxp_val in[N_IN] = {job->x, OXP_NO_VAL, job->bias,
                        fuse == FUSE_ALL ? job->residual : OXP_NO_VAL};
    conv_step *s = OXP_NEW(oxp_lower_arena(lw), conv_step, 1);
    OXP_NOMEM_IF(lw->ctx, s);
    s->form = *form;
    OXP_TRY(make_mds(lw, &form->conv, &m));
    oxp_post_spec spec = {.scale = 1.0f};
    if (fuse == FUSE_ALL) spec.post = job->post;
    if (in[IN_RESIDUAL] != OXP_NO_VAL) spec.add[0] = oxp_md_of(&m.dst);
    fill_desc(&form->conv, &m, job->bias != OXP_NO_VAL, &d);
    oxp_status status = oxp_attr_make(lw, &spec, &attr);
    if (status == OXP_OK) {
        status = find_offer(lw, form, attr, &d, spec.add[0] != NULL, slow_too, &o);
        dnnl_primitive_attr_destroy(attr);
    }
    *done = status == OXP_OK && o.pd != NULL;
    if (*done) {
        const oxp_md_ref packed = dnnl_primitive_desc_query_md(o.pd, dnnl_query_weights_md, 0);
        status = oxp_kernel_make(lw, &o, &s->kernel);
        if (status == OXP_OK)
            status = bind_all(lw, job, &m, &spec, &s->kernel, packed, form->backward);
        if (status == OXP_OK) status = pack(lw, job, &m, packed, s, &in[IN_W]);
        oxp_offers_free(&o);
    }
    free_mds(&m);
    return status == OXP_OK && *done ? append(lw, job, s, in) : status;
}

/* ---- building the best form ---- */

static oxp_status build(oxp_lower *lw, conv_job *job)
{
    oxp_conv_form forms[OXP_CONV_FORMS];
    const oxp_dnnl *dnnl;
    OXP_TRY(oxp_dnnl_get(lw, &dnnl));
    const int n = oxp_conv_forms(&job->conv, job->adjoint, forms);
    const bool separable = job->residual != OXP_NO_VAL || job->post.fn != OXP_FN_NONE;
    const fusion last = separable ? FUSE_BIAS : FUSE_ALL;
    bool done = false;
    fusion used = oxp_post_fusable(&job->post) ? FUSE_ALL : FUSE_BIAS;
    for (fusion fuse = used; fuse <= last && !done; fuse++)
        for (int i = 0; i < n && !done; i++) {
            OXP_TRY(try_form(lw, job, &forms[i], fuse, false, &done));
            used = fuse;
        }
    if (!done) {
        used = last;
        OXP_TRY(try_form(lw, job, &forms[n - 1], last, true, &done));
    }
    OXP_FAIL_IF(lw->ctx, !done, OXP_EUNSUPPORTED,
                "oneDNN offers no implementation of this convolution");
    if (used == FUSE_ALL) return OXP_OK;
    const oxp_val add[2] = {job->residual, OXP_NO_VAL};
    return oxp_post_steps(lw, add, &job->post, job->y);
}

static bool has_empty_axis(const oxp_conv *c)
{
    for (int a = 0; a < 3; a++)
        if (c->in[a] == 0 || c->out[a] == 0) return true;
    return false;
}

static oxp_status lower_job(oxp_lower *lw, conv_job *job)
{
    if (has_empty_axis(&job->conv)) return oxp_lower_by_ref(lw, lw->node);
    OXP_TRY(oxp_lower_operand(lw, job->x, OXP_LAYOUT_CHANNELS_LAST, &job->x));
    if (job->bias != OXP_NO_VAL)
        OXP_TRY(oxp_lower_operand(lw, job->bias, OXP_LAYOUT_ROWS, &job->bias));
    if (job->residual != OXP_NO_VAL)
        OXP_TRY(oxp_lower_operand(lw, job->residual, OXP_LAYOUT_CHANNELS_LAST, &job->residual));
    OXP_TRY(oxp_lower_result(lw, job->y, OXP_LAYOUT_CHANNELS_LAST));
    const int before = oxp_threads_enter(oxp_kernel_threads(lw, job->flops));
    const oxp_status status = build(lw, job);
    oxp_threads_leave(before);
    return status;
}

oxp_status oxp_lower_conv(oxp_lower *lw, const oxp_conv *conv, const oxp_post *post, oxp_val x,
                          oxp_val w, oxp_val bias, oxp_val residual, oxp_val y)
{
    conv_job job = {.what = "conv",
                    .conv = oxp_conv_lift(conv),
                    .post = *post,
                    .x = x,
                    .w = w,
                    .bias = bias,
                    .residual = residual,
                    .y = y,
                    .flops = oxp_conv_flops(conv)};
    return lower_job(lw, &job);
}

oxp_status oxp_lower_conv_grad_x(oxp_lower *lw, const oxp_conv *conv, oxp_val dy, oxp_val w,
                                 oxp_val dx)
{
    conv_job job = {.what = "conv_grad",
                    .conv = oxp_conv_lift(conv),
                    .adjoint = true,
                    .x = dy,
                    .w = w,
                    .y = dx,
                    .flops = oxp_conv_flops(conv)};
    return lower_job(lw, &job);
}
