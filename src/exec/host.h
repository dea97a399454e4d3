/* host.h - loops over strided values: what oneDNN lacks or does slowly. Shared by exec/host_*.c.
 *
 * Three parts: threads (the only OpenMP region of the host loops), nests (N-dimensional strided
 * loops, coalesced, cut into contiguous blocks so that arithmetic is written for dense arrays
 * only) and the helpers that verbs share. */
#ifndef OXP_EXEC_HOST_H
#define OXP_EXEC_HOST_H

#include "exec/step.h"

/* ---- threads ---- */

/* fn(arg, begin, end) over parts of [0, n); in parallel when `elements`, the size of the work in
 * floats touched, repays it. */
typedef void (*oxp_range_fn)(void *arg, int64_t begin, int64_t end);
void oxp_parallel(int threads, int64_t n, int64_t elements, oxp_range_fn fn, void *arg);

/* oneDNN takes its number of threads from the caller's OpenMP setting, some kernels when they are made and
 * some when they run: set for the time of either. Returns the setting to give back. */
int oxp_threads_enter(int threads);
void oxp_threads_leave(int before);

/* ---- nests ---- */

enum { OXP_NEST_OPS = 6 };

typedef struct oxp_nest { /* the last operand is the output */
    int rank, n_ops;
    int64_t dim[OXP_MAX_RANK];
    int64_t stride[OXP_NEST_OPS][OXP_MAX_RANK]; /* elements */
    size_t size[OXP_NEST_OPS];                  /* bytes of an element */
} oxp_nest;

/* Operands are added in order, then the nest is finished: axes are sorted by the output's
 * strides, those of size 1 dropped, and neighbours merged where every operand allows it. At least
 * rank 1 remains. */
void oxp_nest_start(oxp_nest *nest, const oxp_shape *shape);
void oxp_nest_add(oxp_nest *nest, const int64_t *stride, size_t size);
void oxp_nest_finish(oxp_nest *nest);
int64_t oxp_nest_count(const oxp_nest *nest);

/* The two innermost axes at each position of the outer ones, in parallel over the longest axis. */
typedef struct oxp_tile {
    int64_t rows, cols;
    int64_t row_stride[OXP_NEST_OPS], col_stride[OXP_NEST_OPS];
    int64_t size[OXP_NEST_OPS];
    char *ptr[OXP_NEST_OPS];
} oxp_tile;
typedef void (*oxp_tile_fn)(const void *arg, const oxp_tile *t);
void oxp_nest_walk(const oxp_nest *nest, int threads, oxp_tile_fn fn, const void *arg,
                   void *const *ptr);
/* n elements of `size` bytes (1, 4 or 8), strided on both sides. */
void oxp_copy_run(size_t size, void *to, int64_t to_step, const void *from, int64_t from_step,
                  int64_t n);

/* Arithmetic on dense runs: out[i] = f(in[0][i], ...) for i < n. in[k] may be out itself. */
typedef void (*oxp_block_fn)(const void *args, int64_t n, const void *const *in, void *out);
void oxp_nest_map(const oxp_nest *nest, int threads, oxp_block_fn fn, const void *args,
                  void *const *ptr);

/* dst[...] = src[...]: runs, tiled transposes, or element by element. */
void oxp_nest_copy(const oxp_nest *nest, int threads, const void *src, void *dst);
void oxp_host_copy(const oxp_shape *shape, size_t size, const void *src, const int64_t *src_stride,
                   void *dst, const int64_t *dst_stride, int threads);

/* ---- verbs ---- */

/* A step that maps fn over the broadcast operands; declares the result. args (args_size bytes)
 * are copied. */
oxp_status oxp_lower_map(oxp_lower *lw, const char *what, oxp_block_fn fn, const void *args,
                         size_t args_size, const oxp_val *in, size_t n_in, oxp_val out);
/* The same between given parts, whose dims are those of `to`; in[k].val may be to->val. */
oxp_status oxp_lower_map_parts(oxp_lower *lw, const char *what, oxp_block_fn fn, const void *args,
                               const oxp_part *in, size_t n_in, const oxp_part *to);

/* Zeroed memory for step arguments, in the program's arena. */
#define OXP_LOWER_NEW(lw, type, n) OXP_NEW(oxp_lower_arena(lw), type, n)

#endif
