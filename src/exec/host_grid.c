/* host_grid.c - GridSample and its adjoints, channels-last: every point is a weighted sum of a few rows of
 * channels. ops/grid.c says which. */
#include "exec/host.h"
#include "ops/grid.h"
#include <string.h>

typedef struct job {
    const oxp_grid *g;
    const float *x, *grid, *dy;
    float *y, *dx, *dgrid;
    int64_t first, count; /* channels, of an adjoint */
} job;

typedef struct point { /* all cells that a point reads: offsets in rows of channels */
    int n;
    int64_t row[64];
    float w[64], dw[3][64];
} point;

static void find(const oxp_grid *g, const float *coordinates, point *p)
{
    oxp_grid_tap tap[3][4];
    int count[3] = {1, 1, 1};
    for (int a = 0; a < 3; a++) {
        tap[a][0] = (oxp_grid_tap){.w = 1};
        if (a < g->axes)
            count[a] = oxp_grid_taps(g, a, (double)coordinates[g->axes - 1 - a], tap[a]);
    }
    p->n = 0;
    for (int i = 0; i < count[0]; i++)
        for (int j = 0; j < count[1]; j++)
            for (int k = 0; k < count[2]; k++, p->n++) {
                const oxp_grid_tap *t[3] = {&tap[0][i], &tap[1][j], &tap[2][k]};
                p->row[p->n] = (t[0]->cell * g->in[1] + t[1]->cell) * g->in[2] + t[2]->cell;
                p->w[p->n] = (float)(t[0]->w * t[1]->w * t[2]->w);
                for (int a = 0; a < 3; a++)
                    p->dw[a][p->n] = (float)(t[a]->dw * t[(a + 1) % 3]->w * t[(a + 2) % 3]->w);
            }
}

OXP_SIMD static void add_row(float *to, const float *from, float w, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) to[i] += w * from[i];
}

OXP_SIMD static float dot(const float *x, const float *y, int64_t n)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

static int64_t cells_of(const oxp_grid *g)
{
    return g->in[0] * g->in[1] * g->in[2];
}

static void sample_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const oxp_grid *g = j->g;
    point p;
    for (int64_t r = begin; r < end; r++) {
        const float *item = j->x + r / g->points * cells_of(g) * g->c;
        float *y = j->y + r * g->c;
        find(g, j->grid + r * g->axes, &p);
        memset(y, 0, (size_t)g->c * sizeof *y);
        for (int i = 0; i < p.n; i++)
            if (p.w[i] != 0.0f) add_row(y, item + p.row[i] * g->c, p.w[i], g->c);
    }
}

/* Points meet in cells, so threads share the channels; each walks all points. */
static void grad_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const oxp_grid *g = j->g;
    point p;
    for (int64_t cell = 0; cell < g->n * cells_of(g); cell++)
        memset(j->dx + cell * g->c + begin, 0, (size_t)(end - begin) * sizeof(float));
    for (int64_t r = 0; r < g->n * g->points; r++) {
        float *item = j->dx + r / g->points * cells_of(g) * g->c + begin;
        const float *dy = j->dy + r * g->c + begin;
        find(g, j->grid + r * g->axes, &p);
        for (int i = 0; i < p.n; i++)
            if (p.w[i] != 0.0f) add_row(item + p.row[i] * g->c, dy, p.w[i], end - begin);
    }
}

static void grid_range(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    const oxp_grid *g = j->g;
    point p;
    for (int64_t r = begin; r < end; r++) {
        const float *item = j->x + r / g->points * cells_of(g) * g->c, *dy = j->dy + r * g->c;
        double sum[3] = {0.0, 0.0, 0.0};
        find(g, j->grid + r * g->axes, &p);
        for (int i = 0; i < p.n; i++) {
            const double along = (double)dot(item + p.row[i] * g->c, dy, g->c);
            for (int a = 0; a < g->axes; a++) sum[a] += (double)p.dw[a][i] * along;
        }
        for (int a = 0; a < g->axes; a++) j->dgrid[r * g->axes + g->axes - 1 - a] = (float)sum[a];
    }
}

static int64_t work(const oxp_grid *g)
{
    return g->n * g->points * (g->c * 4 + 64);
}

static oxp_status run_sample(const oxp_host_call *c)
{
    const oxp_grid *g = c->args;
    job j = {.g = g, .x = c->ptr[0], .grid = c->ptr[1], .y = c->ptr[2]};
    oxp_parallel(c->threads, g->n * g->points, work(g), sample_range, &j);
    return OXP_OK;
}

static oxp_status run_grad(const oxp_host_call *c)
{
    const oxp_grid *g = c->args;
    job j = {.g = g, .dy = c->ptr[0], .grid = c->ptr[1], .dx = c->ptr[2]};
    oxp_parallel(c->threads, g->c, work(g), grad_range, &j);
    return OXP_OK;
}

static oxp_status run_grad_grid(const oxp_host_call *c)
{
    const oxp_grid *g = c->args;
    job j = {.g = g, .x = c->ptr[0], .grid = c->ptr[1], .dy = c->ptr[2], .dgrid = c->ptr[3]};
    oxp_parallel(c->threads, g->n * g->points, work(g), grid_range, &j);
    return OXP_OK;
}

/* ---- verbs ---- */

/* Pictures channels-last, the grid as rows. */
static oxp_status lower(oxp_lower *lw, const char *what, oxp_host_fn fn, const oxp_grid *grid,
                        oxp_val *in, size_t n_in, oxp_val out, oxp_layout layout)
{
    oxp_grid *g = OXP_LOWER_NEW(lw, oxp_grid, 1);
    OXP_NOMEM_IF(lw->ctx, g);
    *g = *grid;
    for (size_t k = 0; k < n_in; k++)
        OXP_TRY(oxp_lower_operand(lw, in[k], k == 1 ? OXP_LAYOUT_ROWS : OXP_LAYOUT_CHANNELS_LAST,
                                  &in[k]));
    OXP_TRY(oxp_lower_result(lw, out, layout));
    return oxp_lower_host(lw, what, fn, g, in, n_in, &out, 1, 0);
}

oxp_status oxp_lower_sample(oxp_lower *lw, const oxp_grid *g, oxp_val x, oxp_val grid, oxp_val y)
{
    oxp_val in[2] = {x, grid};
    return lower(lw, "sample", run_sample, g, in, 2, y, OXP_LAYOUT_CHANNELS_LAST);
}

oxp_status oxp_lower_sample_grad(oxp_lower *lw, const oxp_grid *g, oxp_val dy, oxp_val grid,
                                 oxp_val dx)
{
    oxp_val in[2] = {dy, grid};
    return lower(lw, "sample grad", run_grad, g, in, 2, dx, OXP_LAYOUT_CHANNELS_LAST);
}

oxp_status oxp_lower_sample_grad_grid(oxp_lower *lw, const oxp_grid *g, oxp_val x, oxp_val grid,
                                      oxp_val dy, oxp_val dgrid)
{
    oxp_val in[3] = {x, grid, dy};
    return lower(lw, "sample grad grid", run_grad_grid, g, in, 3, dgrid, OXP_LAYOUT_ROWS);
}
