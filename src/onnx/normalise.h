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
    /* in[1] is laid against in[0] from axis align_axis on (_Align) */
    bool align;
    int64_t align_axis;
    double sides[4]; /* room for an attribute's numbers */
} oxp_form;

void oxp_normalise(oxp_form *form);

/* An attribute that the operator had at this opset but has no more; NULL: none. oxp_normalise
 * understands it. */
const oxp_attr_spec *oxp_former_attr(const char *op, const char *name, int64_t opset);

#endif
