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

void oxp_normalise(oxp_form *form)
{
    static const struct {
        const char *op;
        int from, to; /* opsets */
        void (*apply)(oxp_form *form);
    } rules[] = {
        {"Softmax", 1, 12, softmax_over_rest},    {"Softmax", 13, 99, softmax_over_axis},
        {"LogSoftmax", 1, 12, softmax_over_rest}, {"LogSoftmax", 13, 99, softmax_over_axis},
        {"Hardmax", 1, 12, softmax_over_rest},    {"Hardmax", 13, 99, softmax_over_axis},
        {"Resize", 10, 10, resize_is_upsample},   {"Gelu", 20, 99, gelu_is_ours},
        {"Mish", 18, 99, mish_is_ours},           {"Swish", 24, 99, swish_is_ours},
    };
    for (size_t i = 0; i < OXP_COUNT(rules); i++)
        if (form->opset >= rules[i].from && form->opset <= rules[i].to &&
            strcmp(form->op->name, rules[i].op) == 0)
            rules[i].apply(form);
}
