/* host_nest.c - N-dimensional strided loops, and the threads they run on.
 *
 * A nest is finished once, when the step is made: sorted by the output's strides and coalesced,
 * so that values with the same dense layout, whatever its axis order, become one flat loop. A run
 * splits the longest axis among threads; each part is cut into 2-D tiles and these into blocks of
 * at most BLOCK elements on which the arithmetic sees dense arrays: operands that are not dense
 * there (broadcast vectors and scalars, transposed views) are gathered into a buffer first, once
 * where they repeat. */
#include "exec/host.h"
#include <omp.h>
#include <string.h>

enum { BLOCK = 1024, SERIAL_BELOW = 16384 };

/* ---- threads ---- */

void oxp_parallel(int threads, int64_t n, int64_t elements, oxp_range_fn fn, void *arg)
{
    if (threads > n) threads = (int)n;
    if (threads <= 1 || elements < SERIAL_BELOW) {
        if (n > 0) fn(arg, 0, n);
        return;
    }
#pragma omp parallel num_threads(threads)
    {
        const int64_t team = omp_get_num_threads(), rank = omp_get_thread_num();
        const int64_t begin = n / team * rank + (rank < n % team ? rank : n % team);
        const int64_t end = begin + n / team + (rank < n % team);
        if (begin < end) fn(arg, begin, end);
    }
}

int oxp_threads_enter(int threads)
{
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
}

void oxp_threads_leave(int before)
{
    omp_set_num_threads(before);
}

/* ---- making nests ---- */

void oxp_nest_start(oxp_nest *nest, const oxp_shape *shape)
{
    memset(nest, 0, sizeof *nest);
    nest->rank = shape->rank;
    memcpy(nest->dim, shape->dim, sizeof nest->dim);
}

void oxp_nest_add(oxp_nest *nest, const int64_t *stride, size_t size)
{
    for (int i = 0; i < nest->rank; i++) nest->stride[nest->n_ops][i] = stride[i];
    nest->size[nest->n_ops++] = size;
}

static void move_axis(oxp_nest *nest, int to, int from)
{
    nest->dim[to] = nest->dim[from];
    for (int k = 0; k < nest->n_ops; k++) nest->stride[k][to] = nest->stride[k][from];
}

static int64_t magnitude(int64_t stride)
{
    return stride < 0 ? -stride : stride;
}

static void sort_axes(oxp_nest *nest)
{
    const int64_t(*stride)[OXP_MAX_RANK] = (const int64_t(*)[OXP_MAX_RANK])nest->stride;
    const int out = nest->n_ops - 1;
    for (int i = 1; i < nest->rank; i++)
        for (int j = i; j > 0 && magnitude(stride[out][j - 1]) < magnitude(stride[out][j]); j--) {
            const oxp_nest old = *nest;
            move_axis(nest, j, j - 1);
            nest->dim[j - 1] = old.dim[j];
            for (int k = 0; k < nest->n_ops; k++) nest->stride[k][j - 1] = old.stride[k][j];
        }
}

/* Axis a continues axis a - 1 in every operand. */
static bool continues(const oxp_nest *nest, int outer, int inner)
{
    for (int k = 0; k < nest->n_ops; k++)
        if (nest->stride[k][outer] != nest->stride[k][inner] * nest->dim[inner]) return false;
    return true;
}

void oxp_nest_finish(oxp_nest *nest)
{
    int rank = 0;
    for (int i = 0; i < nest->rank; i++)
        if (nest->dim[i] != 1) move_axis(nest, rank++, i);
    nest->rank = rank;
    sort_axes(nest);
    rank = 0;
    for (int i = 0; i < nest->rank; i++) {
        if (rank > 0 && continues(nest, rank - 1, i)) {
            const int64_t outer = nest->dim[rank - 1];
            move_axis(nest, rank - 1, i);
            nest->dim[rank - 1] *= outer;
        } else {
            move_axis(nest, rank++, i);
        }
    }
    nest->rank = rank;
    if (rank == 0) {
        nest->rank = 1;
        nest->dim[0] = 1;
        for (int k = 0; k < nest->n_ops; k++) nest->stride[k][0] = 1;
    }
}

int64_t oxp_nest_count(const oxp_nest *nest)
{
    int64_t n = 1;
    for (int i = 0; i < nest->rank; i++) n *= nest->dim[i];
    return n;
}

/* ---- walking: 2-D tiles of the parts of the longest axis ---- */

typedef struct walk {
    const oxp_nest *nest;
    oxp_tile_fn fn;
    const void *arg;
    void *const *ptr;
    int axis; /* split among threads */
} walk;

/* The part [begin, end) of the split axis: every position of the outer axes, a tile each. */
static void walk_range(void *arg, int64_t begin, int64_t end)
{
    const walk *w = arg;
    oxp_nest nest = *w->nest;
    const int inner = nest.rank - 1, outer = nest.rank > 2 ? nest.rank - 2 : 0;
    int64_t idx[OXP_MAX_RANK] = {0};
    nest.dim[w->axis] = end - begin;
    oxp_tile t = {.rows = nest.rank > 1 ? nest.dim[inner - 1] : 1, .cols = nest.dim[inner]};
    for (int k = 0; k < nest.n_ops; k++) {
        t.size[k] = (int64_t)nest.size[k];
        t.ptr[k] = (char *)w->ptr[k] + begin * nest.stride[k][w->axis] * t.size[k];
        t.col_stride[k] = nest.stride[k][inner];
        t.row_stride[k] = nest.rank > 1 ? nest.stride[k][inner - 1] : 0;
    }
    for (;;) {
        w->fn(w->arg, &t);
        int a = outer - 1;
        for (; a >= 0; a--) {
            const bool wraps = ++idx[a] == nest.dim[a];
            const int64_t steps = wraps ? 1 - nest.dim[a] : 1;
            for (int k = 0; k < nest.n_ops; k++) t.ptr[k] += steps * nest.stride[k][a] * t.size[k];
            if (!wraps) break;
            idx[a] = 0;
        }
        if (a < 0) return;
    }
}

void oxp_nest_walk(const oxp_nest *nest, int threads, oxp_tile_fn fn, const void *arg,
                   void *const *ptr)
{
    const int64_t n = oxp_nest_count(nest);
    walk w = {nest, fn, arg, ptr, 0};
    for (int i = 1; i < nest->rank; i++)
        if (nest->dim[i] > nest->dim[w.axis]) w.axis = i;
    if (n > 0) oxp_parallel(threads, nest->dim[w.axis], n, walk_range, &w);
}

/* ---- runs ---- */

#define STRIDED_RUN(type, to, to_step, from, from_step, n)                                  \
    do {                                                                                    \
        type *to_ = (type *)(to);                                                           \
        const type *from_ = (const type *)(from);                                           \
        for (int64_t i_ = 0; i_ < (n); i_++) to_[i_ * (to_step)] = from_[i_ * (from_step)]; \
    } while (0)

void oxp_copy_run(size_t size, void *to, int64_t to_step, const void *from, int64_t from_step,
                  int64_t n)
{
    if (to_step == 1 && from_step == 1)
        memcpy(to, from, (size_t)n * size);
    else if (size == sizeof(float))
        STRIDED_RUN(float, to, to_step, from, from_step, n);
    else if (size == sizeof(int64_t))
        STRIDED_RUN(int64_t, to, to_step, from, from_step, n);
    else
        STRIDED_RUN(unsigned char, to, to_step, from, from_step, n);
}

/* ---- blocks ---- */

typedef struct map_job {
    int n_ops;
    oxp_block_fn fn;
    const void *args;
} map_job;

/* `rows` x `cols` elements of a tile from (row, col). */
typedef struct block {
    int64_t row, col, rows, cols;
} block;

static char *at(const oxp_tile *t, int k, int64_t row, int64_t col)
{
    return t->ptr[k] + (row * t->row_stride[k] + col * t->col_stride[k]) * t->size[k];
}

static bool is_dense(const oxp_tile *t, int k, const block *b)
{
    return (t->col_stride[k] == 1 || b->cols == 1) && (b->rows == 1 || t->row_stride[k] == b->cols);
}

static void gather_block(const oxp_tile *t, int k, const block *b, char *buffer)
{
    for (int64_t r = 0; r < b->rows; r++)
        oxp_copy_run((size_t)t->size[k], buffer + r * b->cols * t->size[k], 1,
                     at(t, k, b->row + r, b->col), t->col_stride[k], b->cols);
}

static void scatter_block(const oxp_tile *t, int k, const block *b, const char *buffer)
{
    for (int64_t r = 0; r < b->rows; r++)
        oxp_copy_run((size_t)t->size[k], at(t, k, b->row + r, b->col), t->col_stride[k],
                     buffer + r * b->cols * t->size[k], 1, b->cols);
}

typedef struct buffers {
    int64_t space[OXP_NEST_OPS][BLOCK]; /* wide enough for any element */
    int64_t valid[OXP_NEST_OPS]; /* elements gathered that hold for every later block of the tile */
} buffers;

/* Does operand k repeat from block to block? (Blocks of several rows span whole rows.) */
static bool repeats(const oxp_tile *t, int k, bool whole_rows)
{
    return t->row_stride[k] == 0 && (whole_rows || t->col_stride[k] == 0);
}

static void map_block(const map_job *job, const oxp_tile *t, const block *b, bool whole_rows,
                      buffers *buf)
{
    const void *in[OXP_NEST_OPS];
    const int out = job->n_ops - 1;
    const int64_t n = b->rows * b->cols;
    for (int k = 0; k < out; k++) {
        if (is_dense(t, k, b)) {
            in[k] = at(t, k, b->row, b->col);
            continue;
        }
        in[k] = buf->space[k];
        if (buf->valid[k] >= n) continue;
        gather_block(t, k, b, (char *)buf->space[k]);
        if (repeats(t, k, whole_rows)) buf->valid[k] = n;
    }
    if (is_dense(t, out, b)) {
        job->fn(job->args, n, in, at(t, out, b->row, b->col));
    } else {
        job->fn(job->args, n, in, buf->space[out]);
        scatter_block(t, out, b, (const char *)buf->space[out]);
    }
}

static void map_tile(const void *arg, const oxp_tile *t)
{
    const map_job *job = arg;
    buffers buf;
    const block all = {0, 0, t->rows, t->cols};
    bool dense = true;
    for (int k = 0; k < job->n_ops; k++) dense = dense && is_dense(t, k, &all);
    memset(buf.valid, 0, sizeof buf.valid);
    if (dense) {
        map_block(job, t, &all, true, &buf);
        return;
    }
    const bool whole_rows = t->cols <= BLOCK;
    const int64_t rows = whole_rows ? BLOCK / t->cols : 1;
    const int64_t cols = whole_rows ? t->cols : BLOCK;
    for (int64_t r = 0; r < t->rows; r += rows)
        for (int64_t c = 0; c < t->cols; c += cols) {
            const block b = {r, c, t->rows - r < rows ? t->rows - r : rows,
                             t->cols - c < cols ? t->cols - c : cols};
            map_block(job, t, &b, whole_rows, &buf);
        }
}

void oxp_nest_map(const oxp_nest *nest, int threads, oxp_block_fn fn, const void *args,
                  void *const *ptr)
{
    const map_job job = {nest->n_ops, fn, args};
    oxp_nest_walk(nest, threads, map_tile, &job, ptr);
}
