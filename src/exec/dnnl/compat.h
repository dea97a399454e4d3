/* compat.h - oneDNN 2.6 and 3.x behind one set of names; the only file that knows the difference.
 *
 * 2.6 describes memory by a struct and creates primitives from operation descriptors; 3.x has opaque
 * descriptors that must be destroyed and no operation descriptors. Only what this folder uses is
 * wrapped. Algorithm numbers differ between the two and are never stored. */
#ifndef OXP_EXEC_DNNL_COMPAT_H
#define OXP_EXEC_DNNL_COMPAT_H

#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>
#include <string.h>

/* ---- memory descriptors: made, referred to, freed ---- */

typedef struct oxp_md {
    dnnl_memory_desc_t d;
} oxp_md;

#if DNNL_VERSION_MAJOR >= 3

typedef const_dnnl_memory_desc_t oxp_md_ref;

static inline oxp_md_ref oxp_md_of(const oxp_md *m)
{
    return m->d;
}

static inline dnnl_status_t oxp_md_tag(oxp_md *m, int rank, const dnnl_dims_t dims,
                                       dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(&m->d, rank, dims, dnnl_f32, tag);
}

static inline dnnl_status_t oxp_md_strides(oxp_md *m, int rank, const dnnl_dims_t dims,
                                           const dnnl_dims_t strides)
{
    return dnnl_memory_desc_create_with_strides(&m->d, rank, dims, dnnl_f32, strides);
}

static inline void oxp_md_free(oxp_md *m)
{
    if (m->d != NULL) dnnl_memory_desc_destroy(m->d);
    m->d = NULL;
}

/* What tells one packing from another. */
typedef struct oxp_md_key {
    dnnl_dims_t padded, strides, blocks, axes;
} oxp_md_key;

static inline void oxp_md_describe(oxp_md_ref m, oxp_md_key *key)
{
    memset(key, 0, sizeof *key);
    const dnnl_dims_t *dims = NULL;
    int rank = 0, blocks = 0;
    dnnl_memory_desc_query(m, dnnl_query_ndims_s32, &rank);
    dnnl_memory_desc_query(m, dnnl_query_inner_nblks_s32, &blocks);
    if (dnnl_memory_desc_query(m, dnnl_query_padded_dims, &dims) == dnnl_success)
        memcpy(key->padded, *dims, (size_t)rank * sizeof(dnnl_dim_t));
    if (dnnl_memory_desc_query(m, dnnl_query_strides, &dims) == dnnl_success)
        memcpy(key->strides, *dims, (size_t)rank * sizeof(dnnl_dim_t));
    if (dnnl_memory_desc_query(m, dnnl_query_inner_blks, &dims) == dnnl_success)
        memcpy(key->blocks, *dims, (size_t)blocks * sizeof(dnnl_dim_t));
    if (dnnl_memory_desc_query(m, dnnl_query_inner_idxs, &dims) == dnnl_success)
        memcpy(key->axes, *dims, (size_t)blocks * sizeof(dnnl_dim_t));
}

#else

typedef const dnnl_memory_desc_t *oxp_md_ref;

static inline oxp_md_ref oxp_md_of(const oxp_md *m)
{
    return &m->d;
}

static inline dnnl_status_t oxp_md_tag(oxp_md *m, int rank, const dnnl_dims_t dims,
                                       dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(&m->d, rank, dims, dnnl_f32, tag);
}

static inline dnnl_status_t oxp_md_strides(oxp_md *m, int rank, const dnnl_dims_t dims,
                                           const dnnl_dims_t strides)
{
    return dnnl_memory_desc_init_by_strides(&m->d, rank, dims, dnnl_f32, strides);
}

static inline void oxp_md_free(oxp_md *m)
{
    (void)m;
}

typedef struct oxp_md_key {
    dnnl_memory_desc_t d;
} oxp_md_key;

static inline void oxp_md_describe(oxp_md_ref m, oxp_md_key *key)
{
    memcpy(&key->d, m, sizeof key->d);
}

#endif

/* ---- the implementations that oneDNN offers for one operation, best first ---- */

typedef struct oxp_offers {     /* stays where it is: 2.6 keeps pointers to desc and hint */
    dnnl_primitive_desc_t pd;   /* the one at hand, or NULL */
    dnnl_primitive_desc_t hint; /* of a backward pass: the forward one */
#if DNNL_VERSION_MAJOR < 3
    dnnl_primitive_desc_iterator_t it;
    union {
        dnnl_convolution_desc_t conv;
        dnnl_matmul_desc_t matmul;
    } desc;
#endif
} oxp_offers;

#if DNNL_VERSION_MAJOR >= 3

static inline dnnl_status_t oxp_offers_next(oxp_offers *o)
{
    return dnnl_primitive_desc_next_impl(o->pd);
}

static inline void oxp_offers_free(oxp_offers *o)
{
    if (o->pd != NULL) dnnl_primitive_desc_destroy(o->pd);
    if (o->hint != NULL) dnnl_primitive_desc_destroy(o->hint);
    o->pd = o->hint = NULL;
}

#else

static inline dnnl_status_t oxp_offers_next(oxp_offers *o)
{
    const dnnl_status_t status = dnnl_primitive_desc_iterator_next(o->it);
    if (status != dnnl_success) return status;
    dnnl_primitive_desc_destroy(o->pd);
    o->pd = dnnl_primitive_desc_iterator_fetch(o->it);
    return o->pd != NULL ? dnnl_success : dnnl_out_of_memory;
}

static inline void oxp_offers_free(oxp_offers *o)
{
    if (o->pd != NULL) dnnl_primitive_desc_destroy(o->pd);
    if (o->it != NULL) dnnl_primitive_desc_iterator_destroy(o->it);
    if (o->hint != NULL) dnnl_primitive_desc_destroy(o->hint);
    o->pd = o->hint = NULL;
    o->it = NULL;
}

static inline dnnl_status_t oxp_offers_start(oxp_offers *o, const_dnnl_primitive_attr_t attr,
                                             dnnl_engine_t engine)
{
    const dnnl_status_t status =
        dnnl_primitive_desc_iterator_create(&o->it, &o->desc, attr, engine, o->hint);
    if (status != dnnl_success) return status;
    o->pd = dnnl_primitive_desc_iterator_fetch(o->it);
    return o->pd != NULL ? dnnl_success : dnnl_unimplemented;
}

#endif

/* ---- operations ---- */

typedef struct oxp_conv_desc { /* of the forward convolution, whichever direction is wanted */
    oxp_md_ref src, weights, bias, dst;               /* bias may be NULL */
    dnnl_dims_t strides, dilates, pad_begin, pad_end; /* dilates: 0 is dense */
} oxp_conv_desc;

static inline dnnl_status_t oxp_offers_conv(oxp_offers *o, dnnl_engine_t engine,
                                            const_dnnl_primitive_attr_t attr,
                                            const oxp_conv_desc *c)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_convolution_forward_primitive_desc_create(
        &o->pd, engine, dnnl_forward_inference, dnnl_convolution_direct, c->src, c->weights,
        c->bias, c->dst, c->strides, c->dilates, c->pad_begin, c->pad_end, attr);
#else
    const dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &o->desc.conv, dnnl_forward_inference, dnnl_convolution_direct, c->src, c->weights, c->bias,
        c->dst, c->strides, c->dilates, c->pad_begin, c->pad_end);
    return status == dnnl_success ? oxp_offers_start(o, attr, engine) : status;
#endif
}

/* From dst to src. A backward pass wants a forward one as a hint. */
static inline dnnl_status_t oxp_offers_conv_back(oxp_offers *o, dnnl_engine_t engine,
                                                 const_dnnl_primitive_attr_t attr,
                                                 const oxp_conv_desc *c)
{
    oxp_offers forward = {0};
    dnnl_status_t status = oxp_offers_conv(&forward, engine, NULL, c);
    o->hint = forward.pd;
    forward.pd = NULL;
    oxp_offers_free(&forward);
    if (status != dnnl_success) return status;
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_convolution_backward_data_primitive_desc_create(
        &o->pd, engine, dnnl_convolution_direct, c->src, c->weights, c->dst, c->strides, c->dilates,
        c->pad_begin, c->pad_end, o->hint, attr);
#else
    status = dnnl_dilated_convolution_backward_data_desc_init(
        &o->desc.conv, dnnl_convolution_direct, c->src, c->weights, c->dst, c->strides, c->dilates,
        c->pad_begin, c->pad_end);
    return status == dnnl_success ? oxp_offers_start(o, attr, engine) : status;
#endif
}

static inline dnnl_status_t oxp_offers_matmul(oxp_offers *o, dnnl_engine_t engine,
                                              const_dnnl_primitive_attr_t attr, oxp_md_ref src,
                                              oxp_md_ref weights, oxp_md_ref bias, oxp_md_ref dst)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_matmul_primitive_desc_create(&o->pd, engine, src, weights, bias, dst, attr);
#else
    const dnnl_status_t status = dnnl_matmul_desc_init(&o->desc.matmul, src, weights, bias, dst);
    return status == dnnl_success ? oxp_offers_start(o, attr, engine) : status;
#endif
}

static inline dnnl_status_t oxp_reorder_desc(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                             oxp_md_ref from, oxp_md_ref to)
{
    return dnnl_reorder_primitive_desc_create(pd, from, engine, to, engine, NULL);
}

/* ---- post-operations ---- */

static inline dnnl_status_t oxp_append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t alg,
                                               float alpha, float beta)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_post_ops_append_eltwise(ops, alg, alpha, beta);
#else
    return dnnl_post_ops_append_eltwise(ops, 1.0f, alg, alpha, beta);
#endif
}

#endif
