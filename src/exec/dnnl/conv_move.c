/* conv_move.c - host loops around convolution primitives: weights rearranged for a form, channels repeated
 * or summed, blocks of a result dealt out to their cells. */
#include "exec/dnnl/conv_form.h"
#include "exec/host.h"
#include <string.h>

/* ---- weights ---- */

static int64_t taps(const oxp_conv *c)
{
    return c->kernel[0] * c->kernel[1] * c->kernel[2];
}

/* (g K/g, C/g, taps) -> (g C/g, K/g, taps reversed) */
void oxp_conv_flip_weights(float *dst, const float *src, const void *arg)
{
    const oxp_conv *c = &((const oxp_conv_form *)arg)->original;
    const int64_t n = taps(c), kg = c->k / c->group, cg = c->c / c->group;
    for (int64_t g = 0; g < c->group; g++)
        for (int64_t i = 0; i < cg; i++)
            for (int64_t o = 0; o < kg; o++, dst += n) {
                const float *from = src + ((g * kg + o) * cg + i) * n;
                for (int64_t t = 0; t < n; t++) dst[t] = from[n - 1 - t];
            }
}

/* dst[cell, c][o][t] = src[o][c][j], where tap j reaches `cell` of the block from offset t (conv_form.c). */
static void block_row(float *dst, const float *src, const oxp_conv_form *f, const int64_t cell[3])
{
    const oxp_conv *c = &f->original, *q = &f->conv;
    int64_t j[3];
    for (j[0] = 0; j[0] < c->kernel[0]; j[0]++)
        for (j[1] = 0; j[1] < c->kernel[1]; j[1]++)
            for (j[2] = 0; j[2] < c->kernel[2]; j[2]++) {
                int64_t to = 0, from = 0;
                bool reaches = true;
                for (int a = 0; a < c->axes; a++) {
                    const int64_t at = cell[a] + c->pad_begin[a] - j[a] * c->dilation[a];
                    reaches = reaches && at % c->stride[a] == 0;
                    to = to * q->kernel[a] + at / c->stride[a] - f->first[a];
                    from = from * c->kernel[a] + j[a];
                }
                if (reaches) dst[to] = src[from];
            }
}

void oxp_conv_block_weights(float *dst, const float *src, const void *arg)
{
    const oxp_conv_form *f = arg;
    const oxp_conv *c = &f->original, *q = &f->conv;
    const int64_t from = taps(c), to = taps(q);
    const int64_t depth = c->axes == 3 ? f->block[2] : 1;
    int64_t cell[3], row = 0;
    memset(dst, 0, (size_t)(q->k * q->c * to) * sizeof *dst);
    for (cell[0] = 0; cell[0] < f->block[0]; cell[0]++)
        for (cell[1] = 0; cell[1] < f->block[1]; cell[1]++)
            for (cell[2] = 0; cell[2] < depth; cell[2]++)
                for (int64_t i = 0; i < c->c; i++, row++)
                    for (int64_t o = 0; o < c->k; o++)
                        block_row(dst + (row * c->k + o) * to, src + (o * c->c + i) * from, f,
                                  cell);
}

/* ---- channels ---- */

typedef struct channels {
    float *dst;
    const float *src;
    int64_t c, m;
} channels;

static void repeat_rows(void *arg, int64_t begin, int64_t end)
{
    const channels *r = arg;
    float *to = r->dst + begin * r->m;
    for (int64_t i = begin; i < end; i++, to += r->m)
        for (int64_t j = 0; j < r->m; j++) to[j] = r->src[i];
}

static void sum_rows(void *arg, int64_t begin, int64_t end)
{
    const channels *r = arg;
    const float *from = r->src + begin * r->m;
    for (int64_t i = begin; i < end; i++, from += r->m) {
        float sum = from[0];
        for (int64_t j = 1; j < r->m; j++) sum += from[j];
        r->dst[i] = sum;
    }
}

void oxp_conv_repeat(float *dst, const float *src, int64_t pixels, int64_t c, int64_t m,
                     int threads)
{
    channels r = {dst, src, c, m};
    oxp_parallel(threads, pixels * c, pixels * c * m, repeat_rows, &r);
}

void oxp_conv_sum(float *dst, const float *src, int64_t pixels, int64_t c, int64_t m, int threads)
{
    channels r = {dst, src, c, m};
    oxp_parallel(threads, pixels * c, pixels * c * m, sum_rows, &r);
}

/* ---- dealing out blocks ---- */

typedef struct deal { /* the axes of dx, the last one innermost; a missing first axis has size 1 */
    float *dx;
    const float *cells;
    int64_t in[3], block[3], out[3], c;
} deal;

/* Rows of dx: (n, x0, x1) together. */
static void deal_rows(void *arg, int64_t begin, int64_t end)
{
    const deal *d = arg;
    const int64_t run = d->block[2] * d->c, row = d->in[2] * d->c;
    const int64_t cell = d->block[0] * d->block[1] * run;
    for (int64_t r = begin; r < end; r++) {
        const int64_t x1 = r % d->in[1], x0 = r / d->in[1] % d->in[0], n = r / d->in[1] / d->in[0];
        const int64_t at = (n * d->out[0] + x0 / d->block[0]) * d->out[1] + x1 / d->block[1];
        const int64_t inside = x0 % d->block[0] * d->block[1] + x1 % d->block[1];
        const float *from = d->cells + at * d->out[2] * cell + inside * run;
        float *to = d->dx + r * row;
        for (int64_t done = 0; done < row; done += run, from += cell)
            memcpy(to + done, from, (size_t)(row - done < run ? row - done : run) * sizeof *to);
    }
}

void oxp_conv_deal(float *dx, const float *cells, const oxp_conv_form *f, int threads)
{
    const oxp_conv *c = &f->original;
    const int skip = 3 - c->axes;
    deal d = {
        .dx = dx, .cells = cells, .in = {1, 1, 1}, .block = {1, 1, 1}, .out = {1, 1, 1}, .c = c->c};
    for (int a = 0; a < c->axes; a++) {
        d.in[skip + a] = c->in[a];
        d.block[skip + a] = f->block[a];
        d.out[skip + a] = f->conv.out[a];
    }
    const int64_t rows = c->n * d.in[0] * d.in[1];
    oxp_parallel(threads, rows, rows * d.in[2] * d.c, deal_rows, &d);
}
