/* conv_form.c - the choice of form. Every rule stands for a measurement (Zen 4, AVX-512, two threads,
 * channels-last, batch 1); docs/decisions.md keeps the figures. */
#include "exec/dnnl/conv_form.h"
#include <string.h>

enum { LANES = 16 }; /* floats in a vector: result channels are padded to a multiple of it */

/* Fewer channels than this share a vector badly enough to look for a BLOCK. */
enum { FEW_CHANNELS = 8, MAX_BLOCK_SIDE = 4 };
/* ... and no block is larger than this (a patch of 32 x 32 in colour fits), whatever a model's strides are. */
enum { MAX_BLOCK = 4096 };

/* ---- shapes ---- */

static bool is_idle(const oxp_conv *c, int a)
{
    return c->in[a] == 1 && c->out[a] == 1 && c->kernel[a] == 1 && c->pad_begin[a] == 0 &&
           c->pad_end[a] == 0;
}

/* A stride that leaves the picture at once is as good as any longer one, and fits the library's ints. */
static void set_axis(oxp_conv *to, int t, const oxp_conv *from, int f)
{
    const int64_t room = from->in[f] + from->pad_begin[f] + from->pad_end[f];
    to->in[t] = from->in[f];
    to->out[t] = from->out[f];
    to->kernel[t] = from->kernel[f];
    to->stride[t] = from->stride[f] < room ? from->stride[f] : room;
    to->dilation[t] = from->kernel[f] > 1 ? from->dilation[f] : 1;
    to->pad_begin[t] = from->pad_begin[f];
    to->pad_end[t] = from->pad_end[f];
}

static void set_idle_axis(oxp_conv *c, int a)
{
    c->in[a] = c->out[a] = c->kernel[a] = c->stride[a] = c->dilation[a] = 1;
    c->pad_begin[a] = c->pad_end[a] = 0;
}

oxp_conv oxp_conv_lift(const oxp_conv *c)
{
    int busy = 0, at = 0;
    for (int a = 0; a < c->axes; a++) busy += !is_idle(c, a);
    oxp_conv out;
    memset(&out, 0, sizeof out);
    out.axes = busy > 2 ? 3 : 2;
    out.n = c->n;
    out.c = c->c;
    out.k = c->k;
    out.group = c->group;
    while (at < out.axes - busy) set_idle_axis(&out, at++);
    for (int a = 0; a < c->axes; a++)
        if (!is_idle(c, a)) set_axis(&out, at++, c, a);
    for (; at < 3; at++) set_idle_axis(&out, at);
    return out;
}

static double product(const int64_t *v, int n)
{
    double p = 1.0;
    for (int i = 0; i < n; i++) p *= (double)v[i];
    return p;
}

/* Multiply-adds with the result's channels padded to whole vectors. */
static double work(const oxp_conv *c, const int64_t *cells, int64_t results, int64_t terms)
{
    const int64_t padded = (results + LANES - 1) / LANES * LANES;
    return (double)c->n * product(cells, c->axes) * product(c->kernel, c->axes) * (double)padded *
           (double)terms;
}

uint64_t oxp_conv_flops(const oxp_conv *c)
{
    const double flops = 2.0 * (double)c->n * product(c->out, c->axes) *
                         product(c->kernel, c->axes) * (double)c->k * (double)(c->c / c->group);
    return flops < 1e19 ? (uint64_t)flops : UINT64_MAX;
}

/* ---- questions about a convolution ---- */

static bool all_axes(const oxp_conv *c, const int64_t *v, int64_t is)
{
    for (int a = 0; a < c->axes; a++)
        if (v[a] != is) return false;
    return true;
}

static bool is_dilated(const oxp_conv *c)
{
    return !all_axes(c, c->dilation, 1);
}

static bool is_depthwise(const oxp_conv *c)
{
    return c->group > 1 && c->group == c->c;
}

/* ---- forms ---- */

static oxp_conv_form direct(const oxp_conv *c, bool adjoint, const char *why)
{
    oxp_conv_form f;
    memset(&f, 0, sizeof f);
    f.kind = OXP_CONV_DIRECT;
    f.backward = adjoint;
    f.conv = f.original = *c;
    f.repeat = 1;
    f.why = why;
    return f;
}

/* dx[i] = sum over j of w[j] dy[i + pad - j dilation]: a forward convolution of dy whose tap j' = kernel - 1 - j
 * reads dy[i - pad' + j' dilation], pad' = (kernel - 1) dilation - pad. */
static bool flip(const oxp_conv_form *from, oxp_conv_form *out, const char *why)
{
    const oxp_conv *c = &from->conv;
    *out = *from;
    out->kind = OXP_CONV_FLIP;
    out->backward = false;
    out->original = *c;
    out->why = why;
    out->conv.c = c->k;
    out->conv.k = c->c;
    for (int a = 0; a < c->axes; a++) {
        const int64_t reach = (c->kernel[a] - 1) * c->dilation[a];
        out->conv.in[a] = c->out[a];
        out->conv.out[a] = c->in[a];
        out->conv.pad_begin[a] = reach - c->pad_begin[a];
        out->conv.pad_end[a] = reach - c->pad_end[a];
        if (c->stride[a] != 1 || out->conv.pad_begin[a] < 0 || out->conv.pad_end[a] < 0)
            return false;
    }
    return true;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/* One axis of BLOCK: blocks of stride * side cells of dx, each from dy cells side apart. Cell `a` of block i is
 * reached by tap j from dy[i side + (a + pad - j dilation) / stride] where that divides. */
static bool block_axis(const oxp_conv *c, int a, int64_t side, oxp_conv_form *f)
{
    const int64_t s = c->stride[a];
    int64_t first = 0, last = 0;
    if (s > MAX_BLOCK || c->kernel[a] > MAX_BLOCK) return false;
    const int64_t block = s * side;
    for (int64_t cell = 0; cell < block; cell++)
        for (int64_t j = 0; j < c->kernel[a]; j++) {
            const int64_t at = cell + c->pad_begin[a] - j * c->dilation[a];
            if (floor_div(at, s) * s != at) continue;
            if (at / s < first) first = at / s;
            if (at / s > last) last = at / s;
        }
    oxp_conv *q = &f->conv;
    f->block[a] = block;
    f->first[a] = first;
    q->in[a] = c->out[a];
    q->out[a] = (c->in[a] + block - 1) / block;
    q->kernel[a] = last - first + 1;
    q->stride[a] = side;
    q->dilation[a] = 1;
    q->pad_begin[a] = -first;
    q->pad_end[a] = (q->out[a] - 1) * side + q->kernel[a] - q->in[a] - q->pad_begin[a];
    if (q->pad_end[a] < 0 && q->pad_end[a] + side > 0) q->pad_end[a] = 0; /* leftover cells */
    return q->pad_end[a] >= 0;
}

static bool block(const oxp_conv *c, const int64_t side[3], oxp_conv_form *out)
{
    *out = direct(c, false, "adjoint of few channels: fills the vectors with neighbouring cells");
    out->kind = OXP_CONV_BLOCK;
    int64_t cells = 1;
    for (int a = 0; a < c->axes; a++) {
        if (!block_axis(c, a, side[a], out)) return false;
        cells *= out->block[a];
        if (cells * c->c > MAX_BLOCK) return false;
    }
    out->conv.c = c->k;
    out->conv.k = cells * c->c;
    return true;
}

/* The block with the least work; false when none beats the padded direct form. */
static bool best_block(const oxp_conv *c, oxp_conv_form *out)
{
    double best = work(c, c->out, c->c, c->k);
    bool found = false;
    int64_t side[3] = {1, 1, 1};
    const int64_t deepest = c->axes == 3 ? MAX_BLOCK_SIDE : 1;
    for (side[0] = 1; side[0] <= MAX_BLOCK_SIDE; side[0] *= 2)
        for (side[1] = 1; side[1] <= MAX_BLOCK_SIDE; side[1] *= 2)
            for (side[2] = 1; side[2] <= deepest; side[2] *= 2) {
                oxp_conv_form f;
                if (!block(c, side, &f)) continue;
                const double cost = work(&f.conv, f.conv.out, f.conv.k, f.conv.c);
                if (cost > best || (found && cost >= best)) continue;
                best = cost;
                *out = f;
                found = true;
            }
    return found;
}

/* Channel c has `repeat` results: the plain depthwise convolution of K channels, each the copy of one. */
static void spread(oxp_conv_form *f)
{
    if (!is_depthwise(&f->conv) || f->conv.k == f->conv.c) return;
    f->repeat = f->conv.k / f->conv.c;
    f->conv.c = f->conv.group = f->conv.k;
    f->original = f->conv;
}

static int forward_forms(const oxp_conv *c, oxp_conv_form out[OXP_CONV_FORMS])
{
    int n = 0;
    oxp_conv_form f = direct(c, false, "forward");
    spread(&f);
    if (f.repeat > 1) {
        f.why = "depthwise with several outputs per channel is slow: channels are repeated";
        out[n++] = f;
    }
    f = direct(c, false, "forward");
    /* 1x1 stride 2, 512@28 -> 1024: 1.15-1.7 ms against 0.93; 1-D stride 2, 512 x 3200: 14 against 11.2. */
    const bool line = c->axes == 2 && c->in[0] == 1;
    if (!all_axes(c, c->stride, 1) && c->group == 1 && (all_axes(c, c->kernel, 1) || line))
        f.avoid = "brgconv";
    out[n++] = f;
    return n;
}

static int adjoint_forms(const oxp_conv *c, oxp_conv_form out[OXP_CONV_FORMS])
{
    int n = 0;
    oxp_conv_form f = direct(c, true, "adjoint");
    spread(&f);
    if (c->group == 1 && c->c <= FEW_CHANNELS && best_block(c, &out[n])) n++;
    /* Dilated 512@28: 30 ms against 15; depthwise: see docs/decisions.md. */
    const bool better_flipped = is_dilated(c) || is_depthwise(c);
    if (better_flipped && flip(&f, &out[n], "adjoint of stride 1: forward is faster"))
        n++;
    else if (f.repeat > 1)
        out[n++] = f;
    out[n++] = direct(c, true, "adjoint");
    return n;
}

int oxp_conv_forms(const oxp_conv *c, bool adjoint, oxp_conv_form out[OXP_CONV_FORMS])
{
    return adjoint ? adjoint_forms(c, out) : forward_forms(c, out);
}

static void keep_weights(oxp_conv *to, const oxp_conv *from)
{
    to->axes = from->axes;
    to->c = from->c;
    to->k = from->k;
    to->group = from->group;
    for (int a = 0; a < 3; a++) {
        to->kernel[a] = from->kernel[a];
        to->stride[a] = from->stride[a];
        to->dilation[a] = from->dilation[a];
        to->pad_begin[a] = from->pad_begin[a];
    }
}

void oxp_conv_form_weights(const oxp_conv_form *f, oxp_conv_form *out)
{
    memset(out, 0, sizeof *out);
    out->kind = f->kind;
    out->repeat = f->repeat;
    memcpy(out->block, f->block, sizeof out->block);
    memcpy(out->first, f->first, sizeof out->first);
    keep_weights(&out->conv, &f->conv);
    keep_weights(&out->original, &f->original);
}

const char *oxp_conv_form_name(const oxp_conv_form *f)
{
    if (f->kind == OXP_CONV_BLOCK) return "block";
    if (f->kind == OXP_CONV_FLIP) return f->repeat > 1 ? "flip-repeat" : "flip";
    return f->repeat > 1 ? "repeat" : "direct";
}
