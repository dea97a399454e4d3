/* normalise.c - opset differences, as a table of operator, opsets and what to do.
 *
 * Not in the table, because nothing has to be done: operators whose attributes became inputs
 * (Squeeze, Unsqueeze, Slice, Split, Pad, Clip, ReduceSum, Upsample, Dropout). Such an input is
 * listed in the operator's const_in with the old attribute's name, so that after specialisation
 * both forms are the attribute. */
#include "onnx/normalise.h"
#include "ops/ops.h"
#include <string.h>

static const oxp_attr *find(const oxp_form *form, const char *name)
{
    for (size_t i = 0; i < form->n_attrs; i++)
        if (strcmp(form->attrs[i].name, name) == 0) return &form->attrs[i];
    return NULL;
}

/* Sets an attribute, replacing what a file may have smuggled in under that name. */
static void set(oxp_form *form, oxp_attr attr)
{
    const oxp_attr *old = find(form, attr.name);
    form->attrs[old ? (size_t)(old - form->attrs) : form->n_attrs++] = attr;
}

static void drop(oxp_form *form, const char *name)
{
    const oxp_attr *old = find(form, name);
    if (old) form->attrs[old - form->attrs] = form->attrs[--form->n_attrs];
}

static void set_default(oxp_form *form, oxp_attr attr)
{
    if (!find(form, attr.name)) set(form, attr);
}

/* Until opset 12 the axes from `axis` (1) to the last are one: span = 1. */
static void softmax_over_rest(oxp_form *form)
{
    set_default(form, OXP_INT("axis", 1));
    set(form, OXP_INT("span", 1));
}

/* Since opset 13 one axis, by default the last. */
static void softmax_over_axis(oxp_form *form)
{
    set_default(form, OXP_INT("axis", -1));
    drop(form, "span");
}

/* At opset 10 Resize was (x, scales), all that Upsample had been before. */
static void resize_is_upsample(oxp_form *form)
{
    form->op = &oxp_op_Upsample;
}

/* ONNX has names now for composites that exporters used to spell in primitives: they become ours. */
static void gelu_is_ours(oxp_form *form)
{
    const oxp_attr *approximate = find(form, "approximate");
    const bool tanh = approximate && strcmp(approximate->s, "tanh") == 0;
    form->op = tanh ? &oxp_op__GeluTanh : &oxp_op__Gelu;
    drop(form, "approximate");
}

static void mish_is_ours(oxp_form *form)
{
    form->op = &oxp_op__Mish;
}

static void swish_is_ours(oxp_form *form)
{
    form->op = &oxp_op__Silu;
}

/* ONNX Runtime's forms, from before ONNX had 16 bits. */
static void quantize_is_onnx(oxp_form *form)
{
    form->op = &oxp_op_QuantizeLinear;
}

static void dequantize_is_onnx(oxp_form *form)
{
    form->op = &oxp_op_DequantizeLinear;
}

/* At opset 8 a Scan had a batch axis, and lengths as its first input. */
static void scan_is_batched(oxp_form *form)
{
    set(form, OXP_INT("batched", 1));
}

static void scan_is_not_batched(oxp_form *form)
{
    drop(form, "batched");
}

/* Scatter became ScatterElements at opset 11: its form without a reduction. */
static void scatter_by_elements(oxp_form *form)
{
    form->op = &oxp_op_ScatterElements;
}

/* ---- opsets 1 to 6 ---- */

#define LAST_AXIS_RULE 6 /* the last opset whose operators broadcast on request, along an axis */

/* What is no more, and the last opset that has it; op NULL: any. */
typedef struct former {
    const char *op;
    oxp_attr_spec spec;
    int64_t last;
} former;

static const former former_attrs[] = {
    {NULL, {"consumed_inputs", OXP_ATTR_INTS, NULL}, 5},
    {"BatchNormalization", {"is_test", OXP_ATTR_INT, NULL}, 6},
    {"BatchNormalization", {"spatial", OXP_ATTR_INT, "0,1"}, 8},
    {"Dropout", {"is_test", OXP_ATTR_INT, NULL}, 6},
    {"Gemm", {"broadcast", OXP_ATTR_INT, NULL}, LAST_AXIS_RULE},
    {"Cast", {"to", OXP_ATTR_STRING, NULL}, 5},
    {"Pad", {"paddings", OXP_ATTR_INTS, NULL}, 1},
    {"Upsample", {"height_scale", OXP_ATTR_FLOAT, NULL}, 6},
    {"Upsample", {"width_scale", OXP_ATTR_FLOAT, NULL}, 6},
};

static bool broadcasts_on_request(const char *op)
{
    static const char *const ops[] = {"Add", "Sub", "Mul",   "Div",     "Pow", "And",
                                      "Or",  "Xor", "Equal", "Greater", "Less"};
    for (size_t i = 0; i < OXP_COUNT(ops); i++)
        if (strcmp(ops[i], op) == 0) return true;
    return false;
}

const oxp_attr_spec *oxp_former_attr(const char *op, const char *name, int64_t opset)
{
    static const oxp_attr_spec axis[] = {{"broadcast", OXP_ATTR_INT, NULL},
                                         {"axis", OXP_ATTR_INT, NULL}};
    for (size_t i = 0; i < OXP_COUNT(former_attrs); i++) {
        const former *f = &former_attrs[i];
        if (opset <= f->last && strcmp(f->spec.name, name) == 0 &&
            (!f->op || strcmp(f->op, op) == 0))
            return &f->spec;
    }
    for (size_t i = 0; i < OXP_COUNT(axis) && opset <= LAST_AXIS_RULE; i++)
        if (strcmp(axis[i].name, name) == 0 && broadcasts_on_request(op)) return &axis[i];
    return NULL;
}

/* The second operand's axes lie against those of the first from `axis` on; without an axis they
 * end together, as everywhere since. */
static void broadcast_along_axis(oxp_form *form)
{
    const oxp_attr *axis = find(form, "axis");
    form->align = axis != NULL && form->n_in == 2;
    form->align_axis = axis ? axis->i : 0;
    drop(form, "axis");
    drop(form, "broadcast");
}

/* One slope per channel. */
static void slope_per_channel(oxp_form *form)
{
    form->align = true;
    form->align_axis = 1;
}

/* Deployed models run in the mode of inference, whatever the flag says. */
static void drop_is_test(oxp_form *form)
{
    drop(form, "is_test");
}

/* Until opset 8 every cell could have statistics of its own, not only every channel. */
static void norm_of_cells(oxp_form *form)
{
    const oxp_attr *spatial = find(form, "spatial");
    if (spatial && spatial->i == 0) form->op = &oxp_op__CellNorm;
    drop(form, "spatial");
}

/* Statistics of the input at hand are another operator. */
static void batch_norm_in_mode(oxp_form *form)
{
    const oxp_attr *mode = find(form, "training_mode");
    if (mode && mode->i != 0) form->op = &oxp_op__BatchNormTraining;
    drop(form, "training_mode");
}

static void gemm_broadcasts(oxp_form *form)
{
    drop(form, "broadcast");
}

static void cast_to_name(oxp_form *form)
{
    static const struct {
        const char *name;
        oxp_dtype dtype;
    } names[] = {{"FLOAT", OXP_F32},  {"UINT8", OXP_U8},   {"INT8", OXP_I8},
                 {"UINT16", OXP_U16}, {"INT16", OXP_I16},  {"INT32", OXP_I32},
                 {"INT64", OXP_I64},  {"BOOL", OXP_BOOL},  {"FLOAT16", OXP_F16},
                 {"DOUBLE", OXP_F64}, {"UINT32", OXP_U32}, {"UINT64", OXP_U64}};
    const oxp_attr *to = find(form, "to");
    for (size_t i = 0; to && to->type == OXP_ATTR_STRING && i < OXP_COUNT(names); i++)
        if (strcmp(names[i].name, to->s) == 0) {
            set(form, OXP_INT("to", names[i].dtype));
            return;
        }
}

static void concat_of_channels(oxp_form *form)
{
    set_default(form, OXP_INT("axis", 1));
}

static void pad_by_paddings(oxp_form *form)
{
    const oxp_attr *paddings = find(form, "paddings");
    if (!paddings) return;
    oxp_attr pads = *paddings;
    pads.name = "pads";
    drop(form, "paddings");
    set(form, pads);
}

static void upsample_by_sides(oxp_form *form)
{
    const oxp_attr *h = find(form, "height_scale"), *w = find(form, "width_scale");
    if (!h || !w) return;
    form->sides[0] = form->sides[1] = 1.0;
    form->sides[2] = h->f;
    form->sides[3] = w->f;
    drop(form, "height_scale");
    drop(form, "width_scale");
    set(form, (oxp_attr){.name = "scales", .type = OXP_ATTR_FLOATS, .n = 4, .floats = form->sides});
}

/* Until opset 15 RoiAlign knew one way to place its samples. */
static void corners_are_whole(oxp_form *form)
{
    set_default(form, OXP_STR("coordinate_transformation_mode", "output_half_pixel"));
}

/* Until opset 19 the axis was an attribute, by default the first behind the batch. */
static void second_axis(oxp_form *form)
{
    set_default(form, OXP_INT("axis", 1));
}

void oxp_normalise(oxp_form *form)
{
    drop(form, "consumed_inputs");
    static const struct {
        const char *op;
        int from, to; /* opsets */
        void (*apply)(oxp_form *form);
    } rules[] = {
        {"Softmax", 1, 12, softmax_over_rest},
        {"Softmax", 13, 99, softmax_over_axis},
        {"LogSoftmax", 1, 12, softmax_over_rest},
        {"LogSoftmax", 13, 99, softmax_over_axis},
        {"Hardmax", 1, 12, softmax_over_rest},
        {"Hardmax", 13, 99, softmax_over_axis},
        {"Resize", 10, 10, resize_is_upsample},
        {"RoiAlign", 10, 15, corners_are_whole},
        {"DFT", 17, 19, second_axis},
        {"Gelu", 20, 99, gelu_is_ours},
        {"Mish", 18, 99, mish_is_ours},
        {"Swish", 24, 99, swish_is_ours},
        {"com.microsoft::QuantizeLinear", 1, 99, quantize_is_onnx},
        {"com.microsoft::DequantizeLinear", 1, 99, dequantize_is_onnx},
        {"PRelu", 1, LAST_AXIS_RULE, slope_per_channel},
        {"BatchNormalization", 1, 6, drop_is_test},
        {"BatchNormalization", 1, 8, norm_of_cells},
        {"BatchNormalization", 14, 99, batch_norm_in_mode},
        {"Dropout", 1, 6, drop_is_test},
        {"Gemm", 1, LAST_AXIS_RULE, gemm_broadcasts},
        {"Cast", 1, 5, cast_to_name},
        {"Concat", 1, 3, concat_of_channels},
        {"Pad", 1, 1, pad_by_paddings},
        {"Upsample", 1, 6, upsample_by_sides},
        {"Scan", 8, 8, scan_is_batched},
        {"Scan", 9, 99, scan_is_not_batched},
        {"Scatter", 9, 10, scatter_by_elements},
    };
    for (size_t i = 0; i < OXP_COUNT(rules); i++)
        if (form->opset >= rules[i].from && form->opset <= rules[i].to &&
            strcmp(form->op->name, rules[i].op) == 0)
            rules[i].apply(form);
    if (form->opset <= LAST_AXIS_RULE && broadcasts_on_request(form->op->name))
        broadcast_along_axis(form);
}
