/* matmul_shape.h - a product of strided, broadcast operands as few axes as possible.
 *
 * Operands are described by strides along the leading axes of the result and along their own last two
 * axes after transposition: (m,k) of a, (k,n) of b, (m,n) of the result and of what is added to it. A
 * stride of 0 stands for "broadcast". */
#ifndef OXP_EXEC_DNNL_MATMUL_SHAPE_H
#define OXP_EXEC_DNNL_MATMUL_SHAPE_H

#include "exec/step.h"

typedef enum oxp_mm_operand {
    OXP_MM_A,
    OXP_MM_B,
    OXP_MM_Y,
    OXP_MM_ADD0,
    OXP_MM_ADD1,
    OXP_MM_OPERANDS
} oxp_mm_operand;

typedef struct oxp_mm_strides {
    bool used;
    int64_t lead[OXP_MAX_RANK], row, col;
} oxp_mm_strides;

typedef struct oxp_mm_shape {
    int leads;                  /* leading axes */
    int64_t lead[OXP_MAX_RANK]; /* their sizes */
    int64_t m, n, k;
    oxp_mm_strides of[OXP_MM_OPERANDS];
} oxp_mm_shape;

/* From the strides of an operand over the axes of (lead..., rows, cols), as it lies. */
void oxp_mm_set(oxp_mm_shape *s, oxp_mm_operand which, const int64_t *stride, bool transposed);
/* Drops leading axes of size 1, makes leading axes rows of the product where b does not vary along them, and
 * merges neighbours. */
void oxp_mm_collapse(oxp_mm_shape *s);
/* Size and stride of an operand along axis 0 .. leads + 1; sizes are 1 where it is broadcast. Strides of axes of size 1
 * are those of a dense array. Returns the rank. */
int oxp_mm_dims(const oxp_mm_shape *s, oxp_mm_operand which, int64_t dim[OXP_MAX_RANK],
                int64_t stride[OXP_MAX_RANK]);
/* Can a kernel read it in place? One of the last two axes dense, nothing repeated or reversed there. */
bool oxp_mm_readable(const oxp_mm_shape *s, oxp_mm_operand which);
/* One number per column: what oneDNN calls a bias. */
bool oxp_mm_is_row(const oxp_mm_shape *s, oxp_mm_operand which);
uint64_t oxp_mm_flops(const oxp_mm_shape *s);

#endif
