/* signal.c - DFT, STFT, and the constants that go with them: HannWindow, HammingWindow, BlackmanWindow,
 * MelWeightMatrix.
 *
 *   X[k] = sum over t of x[t] e^(-2 pi i k t / n)       (inverse: e^+, divided by n)
 *
 * with re and im along the last axis; a real signal has only re there. onesided: of a real signal the
 * second half of X mirrors the first, so it is left out, and put back by the inverse. Both transforms are linear: the
 * fast executor multiplies by the matrix of cosines and sines (STFT: a convolution with it), which costs
 * n^2 instead of n log n and keeps their adjoints ordinary. */
#include "base/checked.h"
#include "ops/infer.h"
#include "ops/lower.h"
#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

typedef struct transform {
    int64_t n, terms, bins; /* period, numbers that enter, results */
    int64_t parts, results; /* of an entry of the input and of the result: 1 real, 2 complex */
    bool mirrored;          /* the input is the first half of a spectrum */
    double sign, scale;
} transform;

/* What x[t] (part 0: re, 1: im) adds to part `to` of X[k]; the angle is reduced exactly. */
static double coefficient(const transform *f, int64_t k, int64_t t, int part, int to)
{
    const double angle = f->sign * 2 * PI * (double)(k * t % f->n) / (double)f->n;
    const double scale = f->mirrored && t > 0 && 2 * t != f->n ? 2 * f->scale : f->scale;
    if (part == to) return scale * cos(angle);
    return scale * (to == 1 ? sin(angle) : -sin(angle));
}

/* A constant of the given shape to be filled; NULL after a failure. */
static oxp_tensor *new_matrix(oxp_build *b, const oxp_shape *shape)
{
    int64_t count = 0;
    oxp_tensor *t = OXP_NEW(b->g->arena, oxp_tensor, 1);
    if (b->status == OXP_OK && !t) b->status = oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
    const bool fits = oxp_shape_count(shape, &count) &&
                      (!b->g->max_bytes || (uint64_t)count <= b->g->max_bytes / sizeof(double));
    if (b->status == OXP_OK && !fits)
        b->status = oxp_ctx_fail(b->ctx, OXP_ELIMIT,
                                 "the matrix of a Fourier transform would exceed the memory limit "
                                 "(--max-memory)");
    if (b->status == OXP_OK) b->status = oxp_tensor_new(b->ctx, b->g->arena, OXP_F64, shape, t);
    return b->status == OXP_OK ? t : NULL;
}

/* ---- DFT ---- */

/* The signal's axis, and x with that axis and the last one replaced. */
static oxp_status read_dft(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x, transform *f,
                           int *axis, oxp_shape *y)
{
    char text[OXP_SHAPE_TEXT];
    const bool inverse = oxp_attr_int(node, "inverse", 0) != 0;
    const bool one = oxp_attr_int(node, "onesided", 0) != 0;
    OXP_NODE_FAIL_IF(ctx, node,
                     x->rank < 2 || (x->dim[x->rank - 1] != 1 && x->dim[x->rank - 1] != 2),
                     OXP_EINVAL, "has input %s, expected a last axis of 1 (real) or 2 (complex)",
                     oxp_shape_text(x, text));
    OXP_TRY(oxp_norm_axis(ctx, oxp_attr_int(node, "axis", -2), x->rank, axis));
    const int64_t size = x->dim[*axis], whole = one && inverse ? 2 * (size - 1) : size;
    const int64_t n = oxp_attr_int(node, "dft_length", whole);
    OXP_NODE_FAIL_IF(ctx, node, *axis == x->rank - 1 || n < 1 || n > INT32_MAX, OXP_EINVAL,
                     "transforms axis %d over %lld numbers", *axis, (long long)n);
    OXP_NODE_FAIL_IF(ctx, node, one && !inverse && x->dim[x->rank - 1] == 2, OXP_EUNSUPPORTED,
                     "is onesided, but %s", "not real");
    *f = (transform){.n = n, .parts = x->dim[x->rank - 1], .mirrored = one && inverse};
    const int64_t most = f->mirrored ? n / 2 + 1 : n;
    f->terms = size < most ? size : most;
    f->bins = one && !inverse ? n / 2 + 1 : n;
    f->results = f->mirrored ? 1 : 2;
    f->sign = inverse ? 1 : -1;
    f->scale = inverse ? 1 / (double)n : 1;
    *y = *x;
    y->dim[*axis] = f->bins;
    y->dim[x->rank - 1] = f->results;
    return OXP_OK;
}

static oxp_status infer_dft(oxp_infer *inf)
{
    transform f;
    oxp_shape y;
    int axis;
    OXP_TRY(oxp_infer_float(inf, 0));
    OXP_TRY(read_dft(inf->ctx, inf->node, oxp_infer_shape(inf, 0), &f, &axis, &y));
    return oxp_infer_out(inf, 0, OXP_F32, &y);
}

static oxp_status ref_dft(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    transform f;
    oxp_shape y;
    int axis;
    OXP_TRY(read_dft(call->ctx, call->node, x, &f, &axis, &y));
    int64_t stride[OXP_MAX_RANK], at[OXP_MAX_RANK] = {0}, o = 0;
    oxp_shape_strides(x, stride);
    if (oxp_shape_elements(&y) == 0) return OXP_OK;
    do {
        int64_t first = 0;
        double sum = 0;
        for (int a = 0; a < y.rank - 1; a++)
            if (a != axis) first += at[a] * stride[a];
        for (int64_t t = 0; t < f.terms; t++)
            for (int part = 0; part < f.parts; part++)
                sum += coefficient(&f, at[axis], t, part, (int)at[y.rank - 1]) *
                       call->in[0][first + t * stride[axis] + part];
        call->out[0][o++] = sum;
    } while (oxp_index_next(&y, at));
    return OXP_OK;
}

/* The axis moved before the last one, both joined: (..., terms parts) times (terms parts, bins results). */
static oxp_status expand_dft(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    transform f;
    oxp_shape y;
    int axis, last;
    OXP_TRY(read_dft(b->ctx, node, oxp_b_shape(b, node->in[0]), &f, &axis, &y));
    last = y.rank - 1;
    int64_t there[OXP_MAX_RANK], back[OXP_MAX_RANK] = {0};
    for (int a = 0; a < y.rank; a++)
        there[a] = a < axis || a == last ? a : a == last - 1 ? axis : a + 1;
    for (int a = 0; a < y.rank; a++) back[there[a]] = a;
    const oxp_shape m = {.rank = 2, .dim = {f.terms * f.parts, f.bins * f.results}};
    oxp_tensor *matrix = new_matrix(b, &m);
    if (!matrix) return b->status;
    double *to = (double *)(uintptr_t)matrix->data;
    for (int64_t t = 0; t < f.terms; t++)
        for (int part = 0; part < f.parts; part++)
            for (int64_t k = 0; k < f.bins * f.results; k++)
                *to++ = coefficient(&f, k / f.results, t, part, (int)(k % f.results));
    const oxp_val cut = oxp_b_slice(b, node->in[0], axis, 0, f.terms);
    const oxp_val moved = oxp_b_transpose(b, cut, there);
    if (b->status != OXP_OK) return b->status;
    oxp_shape joined = *oxp_b_shape(b, moved), split = joined;
    joined.rank--;
    joined.dim[last - 1] = f.terms * f.parts;
    split.dim[last - 1] = f.bins;
    split.dim[last] = f.results;
    const oxp_val rows = oxp_b_reshape(b, moved, &joined);
    const oxp_val spectrum = oxp_b_matmul(b, rows, oxp_b_const(b, OXP_F32, matrix));
    out[0] = oxp_b_transpose(b, oxp_b_reshape(b, spectrum, &split), back);
    return b->status;
}

/* ---- STFT: signal (B,L), (B,L,1) or (B,L,2), window (n)? -> (B,frames,bins,2) ---- */

typedef struct frames {
    transform f;
    int64_t step, count;
} frames;

static oxp_status read_stft(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *x,
                            const oxp_shape *window, frames *s, oxp_shape *y)
{
    char xs[OXP_SHAPE_TEXT];
    const bool one = oxp_attr_int(node, "onesided", 1) != 0;
    const int64_t parts = x->rank == 3 ? x->dim[2] : 1;
    const int64_t n = oxp_attr_int(node, "frame_length", window ? window->dim[0] : 0);
    *s = (frames){.step = oxp_attr_int(node, "frame_step", 0)};
    OXP_NODE_FAIL_IF(ctx, node,
                     x->rank < 2 || x->rank > 3 || parts < 1 || parts > 2 || n < 1 ||
                         n > x->dim[1] || s->step < 1 || n > INT32_MAX,
                     OXP_EINVAL, "has signal %s, frames of %lld and steps of %lld",
                     oxp_shape_text(x, xs), (long long)n, (long long)s->step);
    OXP_NODE_FAIL_IF(ctx, node, window && (window->rank != 1 || window->dim[0] != n), OXP_EINVAL,
                     "has a window of another size than its frames of %lld", (long long)n);
    OXP_NODE_FAIL_IF(ctx, node, one && parts == 2, OXP_EUNSUPPORTED, "is onesided, but %s",
                     "not real");
    s->f = (transform){.n = n, .terms = n, .parts = parts, .sign = -1, .scale = 1};
    s->f.bins = one ? n / 2 + 1 : n;
    s->count = (x->dim[1] - n) / s->step + 1;
    *y = (oxp_shape){.rank = 4, .dim = {x->dim[0], s->count, s->f.bins, 2}};
    return OXP_OK;
}

static oxp_status infer_stft(oxp_infer *inf)
{
    frames s;
    oxp_shape y;
    OXP_TRY(oxp_infer_float(inf, 0));
    if (oxp_infer_has(inf, 1)) OXP_TRY(oxp_infer_float(inf, 1));
    OXP_TRY(read_stft(inf->ctx, inf->node, oxp_infer_shape(inf, 0),
                      oxp_infer_has(inf, 1) ? oxp_infer_shape(inf, 1) : NULL, &s, &y));
    return oxp_infer_out(inf, 0, OXP_F32, &y);
}

static oxp_status ref_stft(const oxp_call *call)
{
    const oxp_shape *x = &call->in_shape[0];
    const double *window = oxp_node_has(call->node, 1) ? call->in[1] : NULL;
    frames s;
    oxp_shape y;
    OXP_TRY(read_stft(call->ctx, call->node, x, window ? &call->in_shape[1] : NULL, &s, &y));
    int64_t at[OXP_MAX_RANK] = {0}, o = 0;
    if (oxp_shape_elements(&y) == 0) return OXP_OK;
    do {
        double sum = 0;
        for (int64_t t = 0; t < s.f.n; t++)
            for (int part = 0; part < s.f.parts; part++)
                sum += coefficient(&s.f, at[2], t, part, (int)at[3]) * (window ? window[t] : 1) *
                       call->in[0][(at[0] * x->dim[1] + at[1] * s.step + t) * s.f.parts + part];
        call->out[0][o++] = sum;
    } while (oxp_index_next(&y, at));
    return OXP_OK;
}

/* A convolution with (bins 2, parts, n) cosines and sines, each times the window. */
static oxp_status expand_stft(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape x = *oxp_b_shape(b, node->in[0]);
    const bool windowed = oxp_node_has(node, 1);
    frames s;
    oxp_shape y;
    OXP_TRY(read_stft(b->ctx, node, &x, windowed ? oxp_b_shape(b, node->in[1]) : NULL, &s, &y));
    const oxp_shape m = {.rank = 3, .dim = {s.f.bins * 2, s.f.parts, s.f.n}};
    const oxp_shape three = {.rank = 3, .dim = {x.dim[0], x.dim[1], s.f.parts}};
    oxp_tensor *matrix = new_matrix(b, &m);
    if (!matrix) return b->status;
    double *to = (double *)(uintptr_t)matrix->data;
    for (int64_t k = 0; k < 2 * s.f.bins; k++)
        for (int part = 0; part < s.f.parts; part++)
            for (int64_t t = 0; t < s.f.n; t++)
                *to++ = coefficient(&s.f, k / 2, t, part, (int)(k % 2));
    oxp_val w = oxp_b_const(b, OXP_F32, matrix);
    if (windowed) w = oxp_b_mul(b, w, node->in[1]);
    const oxp_val signal =
        oxp_b_transpose(b, oxp_b_reshape(b, node->in[0], &three), (const int64_t[]){0, 2, 1});
    const oxp_val spectra = oxp_emit(b, &oxp_op_Conv, (const oxp_val[]){signal, w}, 2,
                                     (const oxp_attr[]){OXP_INTS("strides", &s.step, 1)}, 1);
    out[0] = oxp_b_reshape(b, oxp_b_transpose(b, spectra, (const int64_t[]){0, 2, 1}), &y);
    return b->status;
}

/* ---- windows: w[t] = a - b cos(2 pi t / n) + c cos(4 pi t / n) ---- */

static oxp_status infer_window(oxp_infer *inf)
{
    const int64_t size = oxp_attr_int(inf->node, "size", -1);
    const oxp_dtype type = (oxp_dtype)oxp_attr_int(inf->node, "output_datatype", OXP_F32);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, size < 0 || size > INT32_MAX, OXP_EINVAL, "has size %lld",
                     (long long)size);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node, !oxp_dtype_is_float(type), OXP_EUNSUPPORTED,
                     "makes numbers of type %d; floats are supported", (int)type);
    return oxp_infer_out(inf, 0, OXP_F32, &(oxp_shape){.rank = 1, .dim = {size}});
}

static oxp_dtype exact_window(const oxp_node *node, const oxp_dtype *in, uint32_t k)
{
    OXP_UNUSED(in);
    OXP_UNUSED(k);
    return (oxp_dtype)oxp_attr_int(node, "output_datatype", OXP_F32);
}

static oxp_status ref_window(const oxp_call *call)
{
    const oxp_op *op = call->node->op;
    const double a = op == &oxp_op_HannWindow      ? 0.5
                     : op == &oxp_op_HammingWindow ? 25.0 / 46
                                                   : 0.42;
    const double c = op == &oxp_op_BlackmanWindow ? 0.08 : 0;
    const double b = op == &oxp_op_BlackmanWindow ? 0.5 : 1 - a;
    const int64_t size = call->out_shape[0].dim[0];
    const int64_t n = oxp_attr_int(call->node, "periodic", 1) != 0 ? size : size - 1;
    for (int64_t t = 0; t < size; t++) {
        const double angle = 2 * PI * (double)t / (double)(n > 0 ? n : 1);
        call->out[0][t] = n > 0 ? a - b * cos(angle) + c * cos(2 * angle) : 1;
    }
    return OXP_OK;
}

/* ---- MelWeightMatrix: (bins of a spectrum, mel bands) ---- */

static oxp_status infer_mel(oxp_infer *inf)
{
    const int64_t bands = oxp_attr_int(inf->node, "num_mel_bins", -1);
    const int64_t n = oxp_attr_int(inf->node, "dft_length", -1);
    const int64_t rate = oxp_attr_int(inf->node, "sample_rate", 0);
    const double low = oxp_attr_float(inf->node, "lower_edge_hertz", 0);
    const double high = oxp_attr_float(inf->node, "upper_edge_hertz", 0);
    OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                     bands < 0 || n < 0 || bands > INT32_MAX || n > INT32_MAX || rate < 1 ||
                         !(low >= 0) || !(high >= low) || !(high <= (double)rate),
                     OXP_EINVAL, "has %lld bands, length %lld, rate %lld, from %g to %g Hz",
                     (long long)bands, (long long)n, (long long)rate, low, high);
    return oxp_infer_out(inf, 0, OXP_F32, &(oxp_shape){.rank = 2, .dim = {n / 2 + 1, bands}});
}

static double mel(double hertz)
{
    return 2595 * log10(1 + hertz / 700);
}

/* Bands are triangles between three neighbouring edges, which are whole bins. */
static oxp_status ref_mel(const oxp_call *call)
{
    const int64_t bins = call->out_shape[0].dim[0], bands = call->out_shape[0].dim[1];
    const int64_t n = oxp_attr_int(call->node, "dft_length", 0);
    const double rate = (double)oxp_attr_int(call->node, "sample_rate", 1);
    const double low = mel(oxp_attr_float(call->node, "lower_edge_hertz", 0));
    const double high = mel(oxp_attr_float(call->node, "upper_edge_hertz", 0));
    const double step = (high - low) / (double)(bands + 2);
    memset(call->out[0], 0, (size_t)(bins * bands) * sizeof(double));
    for (int64_t i = 0; i < bands; i++) {
        double edge[3];
        for (int k = 0; k < 3; k++) {
            const double hertz = 700 * (pow(10, (low + (double)(i + k) * step) / 2595) - 1);
            edge[k] = floor((double)(n + 1) * hertz / rate);
        }
        for (int64_t j = 0; j < bins; j++) {
            const double at = (double)j, up = edge[1] - edge[0], down = edge[2] - edge[1];
            double *w = &call->out[0][j * bands + i];
            if (at >= edge[0] && at <= edge[1]) *w = up > 0 ? (at - edge[0]) / up : 1;
            if (at >= edge[1] && at < edge[2]) *w = (edge[2] - at) / down;
        }
    }
    return OXP_OK;
}

/* ---- descriptors ---- */

/* clang-format off */
#define END {NULL, OXP_ATTR_INT, NULL}
#define NO_MORE {0, NULL, OXP_ATTR_INT}
static const oxp_attr_spec dft_attrs[] = {
    {"axis", OXP_ATTR_INT, NULL}, {"dft_length", OXP_ATTR_INT, NULL},
    {"inverse", OXP_ATTR_INT, NULL}, {"onesided", OXP_ATTR_INT, NULL}, END};
static const oxp_attr_spec stft_attrs[] = {
    {"onesided", OXP_ATTR_INT, NULL}, {"frame_step", OXP_ATTR_INT, NULL},
    {"frame_length", OXP_ATTR_INT, NULL}, END};
static const oxp_attr_spec window_attrs[] = {
    {"output_datatype", OXP_ATTR_INT, NULL}, {"periodic", OXP_ATTR_INT, NULL},
    {"size", OXP_ATTR_INT, NULL}, END};
static const oxp_attr_spec mel_attrs[] = {
    {"num_mel_bins", OXP_ATTR_INT, NULL}, {"dft_length", OXP_ATTR_INT, NULL},
    {"sample_rate", OXP_ATTR_INT, NULL}, {"lower_edge_hertz", OXP_ATTR_FLOAT, NULL},
    {"upper_edge_hertz", OXP_ATTR_FLOAT, NULL}, {"output_datatype", OXP_ATTR_INT, "1,10,11,16"}, END};
static const oxp_const_in dft_in[] = {{1, "dft_length", OXP_ATTR_INT}, {2, "axis", OXP_ATTR_INT}, NO_MORE};
static const oxp_const_in stft_in[] = {
    {1, "frame_step", OXP_ATTR_INT}, {3, "frame_length", OXP_ATTR_INT}, NO_MORE};
static const oxp_const_in window_in[] = {{0, "size", OXP_ATTR_INT}, NO_MORE};
static const oxp_const_in mel_in[] = {
    {0, "num_mel_bins", OXP_ATTR_INT}, {1, "dft_length", OXP_ATTR_INT},
    {2, "sample_rate", OXP_ATTR_INT}, {3, "lower_edge_hertz", OXP_ATTR_FLOAT},
    {4, "upper_edge_hertz", OXP_ATTR_FLOAT}, NO_MORE};

const oxp_op oxp_op_DFT = {
    .name = "DFT", .min_in = 1, .max_in = 3, .min_out = 1, .max_out = 1, .since = 17,
    .flags = OXP_OP_COMPOSITE | OXP_OP_LINEAR, .attrs = dft_attrs, .const_in = dft_in,
    .infer = infer_dft, .ref = ref_dft, .expand = expand_dft};
const oxp_op oxp_op_STFT = {
    .name = "STFT", .min_in = 1, .max_in = 4, .min_out = 1, .max_out = 1, .since = 17,
    .flags = OXP_OP_COMPOSITE | OXP_OP_LINEAR, .attrs = stft_attrs, .const_in = stft_in,
    .infer = infer_stft, .ref = ref_stft, .expand = expand_stft};
#define WINDOW(symbol)                                                                             \
    const oxp_op oxp_op_##symbol = {                                                               \
        .name = #symbol, .min_in = 0, .max_in = 1, .min_out = 1, .max_out = 1, .since = 17,        \
        .flags = OXP_OP_NOT_DIFFERENTIABLE, .attrs = window_attrs, .const_in = window_in,          \
        .exact = exact_window, .infer = infer_window, .ref = ref_window, .lower = oxp_lower_by_ref}
WINDOW(HannWindow);
WINDOW(HammingWindow);
WINDOW(BlackmanWindow);
const oxp_op oxp_op_MelWeightMatrix = {
    .name = "MelWeightMatrix", .min_in = 0, .max_in = 5, .min_out = 1, .max_out = 1, .since = 17,
    .flags = OXP_OP_NOT_DIFFERENTIABLE, .attrs = mel_attrs, .const_in = mel_in,
    .exact = exact_window, .infer = infer_mel, .ref = ref_mel, .lower = oxp_lower_by_ref};
/* clang-format on */
