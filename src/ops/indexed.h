/* indexed.h - where the entries of an index tensor point to: what GatherElements, GatherND,
 * ScatterElements and ScatterND have in common.
 *
 * Each entry names a run of `inner` neighbouring elements of the data. Either an entry is one index
 * along an axis, at the coordinates of the entry itself (Elements; inner is 1), or a tuple of indices
 * (ND). Negative indices count from the end. */
#ifndef OXP_OPS_INDEXED_H
#define OXP_OPS_INDEXED_H

#include "ir/op.h"

typedef struct oxp_indexed {
    bool tuples;
    int axis;       /* Elements */
    int batch_dims; /* tuples: leading axes that data and index share */
    int depth;      /* tuples: indices in each */
    oxp_shape data, index;
    int64_t stride[OXP_MAX_RANK]; /* of the data */
    int64_t entries, inner;
} oxp_indexed;

typedef enum oxp_scatter {
    OXP_SCATTER_SET, /* the last entry wins */
    OXP_SCATTER_ADD,
    OXP_SCATTER_MUL,
    OXP_SCATTER_MAX, /* the first wins ties */
    OXP_SCATTER_MIN
} oxp_scatter;

/* The offset of each entry in the data, in elements; false when an index is out of range: *bad. */
bool oxp_indexed_positions(const oxp_indexed *ix, const int64_t *index, int64_t *position,
                           int64_t *bad);

#endif
