/* host_roi.c - RoiAlign, MaxRoiPool and their adjoint, channels-last: a bin is a sum, or a maximum, of
 * weighted rows of channels. ops/roi.h says which. */
#include "exec/host.h"
#include "ops/roi.h"
#include <string.h>

enum { SIDE = 256 };

typedef struct job {
    const oxp_roi *roi;
    const float *x, *rois, *dy;
    const int64_t *items; /* NULL: the first number of each region */
    float *out;
} job;

OXP_SIMD static void add_row(float *to, const float *from, float w, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) to[i] += w * from[i];
}

/* best = max(best, w x), with the number of the tap that won */
OXP_SIMD static void max_row(float *best, int32_t *winner, const float *x, float w, int32_t number,
                             int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float v = w * x[i];
        const bool wins = v > best[i];
        best[i] = wins ? v : best[i];
        winner[i] = wins ? number : winner[i];
    }
}

OXP_SIMD static void add_won(float *to, const float *dy, const int32_t *winner, float w,
                             int32_t number, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) to[i] += winner[i] == number ? w * dy[i] : 0.0f;
}

static int64_t item_of(const job *j, int64_t region)
{
    if (j->items != NULL) return j->items[region];
    const float item = j->rois[region * 5];
    return item >= 0.0f && item < (float)j->roi->n ? (int64_t)item : -1;
}

/* Bin number `at` of all regions' bins. */
static oxp_roi_bin bin_at(const job *j, int64_t at)
{
    const oxp_roi *r = j->roi;
    const int64_t bins = r->out[0] * r->out[1], bin = at % bins;
    const float *from = j->rois + at / bins * (r->whole ? 5 : 4) + r->whole;
    const double box[4] = {(double)from[0], (double)from[1], (double)from[2], (double)from[3]};
    return oxp_roi_begin(r, box, bin / r->out[1], bin % r->out[1]);
}

static const float *plane_of(const job *j, int64_t at)
{
    const oxp_roi *r = j->roi;
    return j->x + item_of(j, at / (r->out[0] * r->out[1])) * r->in[0] * r->in[1] * r->c;
}

/* The maximum over a bin of the channels [c, c + n), and which tap has it. */
static void best_of(const job *j, int64_t at, int64_t c, int64_t n, float *best, int32_t *winner)
{
    const float *plane = plane_of(j, at) + c;
    oxp_roi_bin bin = bin_at(j, at);
    oxp_roi_tap tap[4];
    int32_t number = 0;
    for (int64_t i = 0; i < n; i++) {
        best[i] = 0.0f;
        winner[i] = -1;
    }
    for (int taps = oxp_roi_next(&bin, tap); taps > 0; taps = oxp_roi_next(&bin, tap))
        for (int k = 0; k < taps; k++, number++) {
            const float *row = plane + tap[k].cell * j->roi->c;
            for (int64_t i = 0; number == 0 && i < n; i++) {
                best[i] = (float)tap[k].w * row[i];
                winner[i] = 0;
            }
            if (number > 0) max_row(best, winner, row, (float)tap[k].w, number, n);
        }
}

static void roi_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const oxp_roi *r = j->roi;
    int32_t winner[SIDE];
    for (int64_t at = begin; at < end; at++) {
        float *y = j->out + at * r->c;
        for (int64_t c = 0; r->max && c < r->c; c += SIDE)
            best_of(j, at, c, r->c - c < SIDE ? r->c - c : SIDE, y + c, winner);
        if (r->max) continue;
        oxp_roi_bin bin = bin_at(j, at);
        const float share = (float)(1.0 / oxp_roi_divisor(&bin)), *plane = plane_of(j, at);
        oxp_roi_tap tap[4];
        memset(y, 0, (size_t)r->c * sizeof *y);
        for (int taps = oxp_roi_next(&bin, tap); taps > 0; taps = oxp_roi_next(&bin, tap))
            for (int k = 0; k < taps; k++)
                if (tap[k].w > 0.0)
                    add_row(y, plane + tap[k].cell * r->c, (float)tap[k].w * share, r->c);
    }
}

/* Bins meet in cells, so threads share the channels; each walks all bins. */
static void grad_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const oxp_roi *r = j->roi;
    const int64_t n = end - begin, cells = r->n * r->in[0] * r->in[1];
    float best[SIDE];
    int32_t winner[SIDE];
    for (int64_t cell = 0; cell < cells; cell++)
        memset(j->out + cell * r->c + begin, 0, (size_t)n * sizeof(float));
    for (int64_t at = 0; at < r->regions * r->out[0] * r->out[1]; at++)
        for (int64_t c = begin; c < end; c += SIDE) {
            const int64_t run = end - c < SIDE ? end - c : SIDE;
            float *plane = j->out + (plane_of(j, at) - j->x) + c;
            const float *dy = j->dy + at * r->c + c;
            oxp_roi_bin bin = bin_at(j, at);
            const float share = r->max ? 1.0f : (float)(1.0 / oxp_roi_divisor(&bin));
            oxp_roi_tap tap[4];
            int32_t number = 0;
            if (r->max) best_of(j, at, c, run, best, winner);
            for (int taps = oxp_roi_next(&bin, tap); taps > 0; taps = oxp_roi_next(&bin, tap))
                for (int k = 0; k < taps; k++, number++) {
                    float *row = plane + tap[k].cell * r->c;
                    if (r->max)
                        add_won(row, dy, winner, (float)tap[k].w, number, run);
                    else
                        add_row(row, dy, (float)tap[k].w * share, run);
                }
        }
}

static oxp_status run(const oxp_host_call *c)
{
    const oxp_roi *r = c->args;
    job j = {.roi = r,
             .x = c->ptr[0],
             .rois = c->ptr[1],
             .items = c->ptr[2],
             .dy = c->ptr[3],
             .out = c->ptr[4]};
    const int64_t bins = r->regions * r->out[0] * r->out[1];
    for (int64_t i = 0; i < r->regions; i++)
        if (item_of(&j, i) < 0 || item_of(&j, i) >= r->n) return OXP_EINVAL;
    if (j.dy != NULL)
        oxp_parallel(c->threads, r->c, bins * r->c * 16, grad_range, &j);
    else
        oxp_parallel(c->threads, bins, bins * r->c * 16, roi_range, &j);
    return OXP_OK;
}

oxp_status oxp_lower_roi(oxp_lower *lw, const oxp_roi *roi, oxp_val x, oxp_val rois, oxp_val items,
                         oxp_val dy, oxp_val out)
{
    oxp_roi *r = OXP_LOWER_NEW(lw, oxp_roi, 1);
    oxp_val in[4] = {x, rois, items, dy};
    OXP_NOMEM_IF(lw->ctx, r);
    *r = *roi;
    for (int k = 0; k < 4; k++)
        if (in[k] != OXP_NO_VAL)
            OXP_TRY(oxp_lower_operand(
                lw, in[k], k == 1 || k == 2 ? OXP_LAYOUT_ROWS : OXP_LAYOUT_CHANNELS_LAST, &in[k]));
    OXP_TRY(oxp_lower_result(lw, out, OXP_LAYOUT_CHANNELS_LAST));
    return oxp_lower_host(lw, dy == OXP_NO_VAL ? "roi" : "roi grad", run, r, in, 4, &out, 1, 0);
}
