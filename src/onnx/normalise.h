/* normalise.h - differences between opsets, settled at import: operators see one canonical form. */
#ifndef OXP_ONNX_NORMALISE_H
#define OXP_ONNX_NORMALISE_H

#include "ir/op.h"

enum { OXP_NORMALISE_ROOM = 2 }; /* attributes that a rule may add */

/* A node about to enter the graph. */
typedef struct oxp_form {
    const oxp_op *op;
    int64_t opset;
    oxp_val *in;
    size_t n_in;
    oxp_attr *attrs; /* OXP_NORMALISE_ROOM free places at the end */
    size_t n_attrs;
} oxp_form;

void oxp_normalise(oxp_form *form);

#endif
