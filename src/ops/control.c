/* control.c - If, Loop, Scan and FlexAttention: what a file may say about them. unroll.c puts their graphs in
 * their place, so there is nothing else to know. */
#include "ops/infer.h"

static oxp_status infer_none(oxp_infer *inf)
{
    OXP_FAIL(inf->ctx, OXP_EINTERNAL, "%s '%s' was not unrolled", inf->node->op->name,
             inf->node->origin);
}

/* clang-format off */
#define CAPTURES {"captures", OXP_ATTR_INT, NULL}, {NULL, OXP_ATTR_INT, NULL}
static const oxp_attr_spec if_attrs[] = {
    {"then_branch", OXP_ATTR_GRAPH, NULL}, {"else_branch", OXP_ATTR_GRAPH, NULL}, CAPTURES};
static const oxp_attr_spec loop_attrs[] = {{"body", OXP_ATTR_GRAPH, NULL}, CAPTURES};
static const oxp_attr_spec scan_attrs[] = { /* batched: opset 8, which calls the directions so */
    {"body", OXP_ATTR_GRAPH, NULL}, {"num_scan_inputs", OXP_ATTR_INT, NULL},
    {"scan_input_axes", OXP_ATTR_INTS, NULL}, {"scan_output_axes", OXP_ATTR_INTS, NULL},
    {"scan_input_directions", OXP_ATTR_INTS, NULL}, {"scan_output_directions", OXP_ATTR_INTS, NULL},
    {"directions", OXP_ATTR_INTS, NULL}, {"batched", OXP_ATTR_INT, NULL}, CAPTURES};

#define CONTROL(symbol, least, first_opset, specs)                                                \
    const oxp_op oxp_op_##symbol = {                                                              \
        .name = #symbol, .min_in = least, .max_in = OXP_VARIADIC, .min_out = 1,                   \
        .max_out = OXP_VARIADIC, .since = first_opset, .flags = OXP_OP_CONTROL | OXP_OP_NO_FOLD,  \
        .attrs = specs, .infer = infer_none}
CONTROL(If, 1, 1, if_attrs);
CONTROL(Loop, 0, 1, loop_attrs);
CONTROL(Scan, 0, 8, scan_attrs);

static const oxp_attr_spec flex_attrs[] = { /* of ai.onnx.preview */
    {"score_mod", OXP_ATTR_GRAPH, NULL}, {"prob_mod", OXP_ATTR_GRAPH, NULL}, {"scale", OXP_ATTR_FLOAT, NULL},
    {"softmax_precision", OXP_ATTR_INT, "1,10,11,16"}, CAPTURES};
const oxp_op oxp_op_preview_FlexAttention = {
    .name = "ai.onnx.preview::FlexAttention", .min_in = 3, .max_in = OXP_VARIADIC, .min_out = 1, .max_out = 1,
    .since = 1, .flags = OXP_OP_CONTROL | OXP_OP_NO_FOLD, .attrs = flex_attrs, .infer = infer_none};
/* clang-format on */
