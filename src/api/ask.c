/* ask.c - what callers say in text and arrays, checked and turned into values, tensors and targets.
 *
 * Errors are about names: each says what there is, or what is nearest. */
#include "api/api.h"

#include "base/checked.h"
#include "base/parse.h"
#include "explain/survey.h"
#include "ops/specialise.h"
#include <string.h>

#define MAX_LISTED_NAMES 8

/* ---- tensors by name ---- */

bool oxp_ask_named(const oxp_value *v)
{
    return v->name && v->name[0] && (v->kind == OXP_VALUE_NODE || v->kind == OXP_VALUE_INPUT);
}

oxp_status oxp_ask_tensor(oxp_ctx *ctx, const oxp_model *model, const char *name, oxp_val *out)
{
    const oxp_graph *g = model->net.graph;
    OXP_FAIL_IF(ctx, !name, OXP_EINVAL, "a tensor name is missing (NULL)");
    const oxp_val v = oxp_graph_find(g, name);
    if (v != OXP_NO_VAL && oxp_ask_named(oxp_value_of(g, v))) {
        *out = v;
        return OXP_OK;
    }
    OXP_FAIL_IF(ctx, v != OXP_NO_VAL, OXP_EINVAL,
                "'%.120s' is a weight: only inputs and computed tensors can be named", name);
    const char *const *names = model->names;
    const int near = oxp_nearest_name(name, names, model->n_names);
    OXP_FAIL_IF(ctx, near >= 0, OXP_EINVAL,
                "the model has no tensor '%.120s': did you mean '%.120s'?", name, names[near]);
    OXP_FAIL(ctx, OXP_EINVAL,
             "the model has no tensor '%.120s': 'onnxplain inspect MODEL --layers' lists some",
             name);
}

oxp_status oxp_ask_tensors(oxp_ctx *ctx, const oxp_model *model, const char *const *names, size_t n,
                           oxp_val **out)
{
    oxp_val *list = OXP_NEW(ctx->scratch, oxp_val, n + 1);
    OXP_NOMEM_IF(ctx, list);
    for (size_t i = 0; i < n; i++) {
        OXP_TRY(oxp_ask_tensor(ctx, model, names[i], &list[i]));
        for (size_t k = 0; k < i; k++)
            OXP_FAIL_IF(ctx, list[k] == list[i], OXP_EINVAL, "tensor '%.120s' is named twice",
                        names[i]);
    }
    *out = list;
    return OXP_OK;
}

/* ---- arrays ---- */

oxp_status oxp_ask_array(oxp_ctx *ctx, const oxp_array *array, oxp_tensor *out)
{
    const char *name = array->name ? array->name : "";
    char text[OXP_SHAPE_TEXT];
    int64_t count, bytes;
    OXP_FAIL_IF(ctx, oxp_dtype_size(array->dtype) == 0, OXP_EINVAL,
                "array '%.120s' has no known dtype (%d)", name, (int)array->dtype);
    OXP_FAIL_IF(ctx, array->rank < 0 || array->rank > OXP_MAX_RANK, OXP_EINVAL,
                "array '%.120s' has rank %d, expected 0 to %d", name, array->rank, OXP_MAX_RANK);
    *out = (oxp_tensor){array->dtype, oxp_shape_of(array->rank, array->dims), array->data};
    OXP_FAIL_IF(ctx,
                !oxp_shape_count(&out->shape, &count) ||
                    !oxp_mul_i64(count, (int64_t)oxp_dtype_size(array->dtype), &bytes),
                OXP_EINVAL, "array '%.120s' has an impossible shape %s", name,
                oxp_shape_text(&out->shape, text));
    OXP_FAIL_IF(ctx, !array->data && count > 0, OXP_EINVAL, "array '%.120s' has no data (NULL)",
                name);
    return OXP_OK;
}

static oxp_status find_input(oxp_ctx *ctx, const oxp_model *model, const char *name, size_t *index)
{
    const oxp_onnx_model *onnx = model->onnx;
    const char **names = OXP_NEW(ctx->scratch, const char *, onnx->n_inputs + 1);
    OXP_NOMEM_IF(ctx, names);
    for (size_t i = 0; i < onnx->n_inputs; i++) {
        names[i] = onnx->inputs[i].name;
        if (strcmp(names[i], name) != 0) continue;
        *index = i;
        return OXP_OK;
    }
    const int near = oxp_nearest_name(name, names, onnx->n_inputs);
    oxp_strbuf sb;
    oxp_strbuf_init(&sb, ctx->scratch);
    for (size_t i = 0; i < onnx->n_inputs && i < MAX_LISTED_NAMES; i++)
        oxp_strbuf_printf(&sb, "%s'%.60s'", i ? ", " : "", names[i]);
    const char *list = oxp_strbuf_str(&sb);
    OXP_NOMEM_IF(ctx, list);
    OXP_FAIL_IF(ctx, near >= 0, OXP_EINVAL, "the model has no input '%.60s': did you mean '%.60s'?",
                name, names[near]);
    OXP_FAIL(ctx, OXP_EINVAL, "the model has no input '%.60s'; its inputs are %s", name, list);
}

static oxp_status check_kind(oxp_ctx *ctx, const oxp_onnx_io *io, const oxp_tensor *t)
{
    OXP_FAIL_IF(ctx, !oxp_dtype_is_float(io->dtype) && oxp_dtype_is_float(t->dtype), OXP_EINVAL,
                "input '%.120s' expects %s, found %s", io->name, oxp_dtype_name(io->dtype),
                oxp_dtype_name(t->dtype));
    return OXP_OK;
}

oxp_status oxp_ask_inputs(oxp_ctx *ctx, const oxp_model *model, const oxp_array *arrays, size_t n,
                          oxp_tensor **out)
{
    const oxp_onnx_model *onnx = model->onnx;
    oxp_tensor *list = OXP_NEW(ctx->scratch, oxp_tensor, onnx->n_inputs + 1);
    bool *given = OXP_NEW(ctx->scratch, bool, onnx->n_inputs + 1);
    OXP_FAIL_IF(ctx, !list || !given, OXP_ENOMEM, "out of memory");
    OXP_FAIL_IF(ctx, n > 0 && !arrays, OXP_EINVAL, "the inputs are missing (NULL)");
    OXP_FAIL_IF(ctx, n > onnx->n_inputs, OXP_EINVAL, "the model takes %zu inputs, found %zu",
                onnx->n_inputs, n);
    for (size_t i = 0; i < n; i++) {
        size_t index = i;
        if (arrays[i].name) OXP_TRY(find_input(ctx, model, arrays[i].name, &index));
        OXP_FAIL_IF(ctx, given[index], OXP_EINVAL, "input '%.120s' is given twice",
                    onnx->inputs[index].name);
        given[index] = true;
        OXP_TRY(oxp_ask_array(ctx, &arrays[i], &list[index]));
        OXP_TRY(check_kind(ctx, &onnx->inputs[index], &list[index]));
    }
    for (size_t i = 0; i < onnx->n_inputs; i++)
        OXP_FAIL_IF(ctx, !given[i], OXP_EINVAL, "the model's input '%.120s' was not given",
                    onnx->inputs[i].name);
    *out = list;
    return OXP_OK;
}

/* ---- shapes ---- */

/* "1,3,224,224" -> dims; false for anything else. */
static bool parse_dims(oxp_arena *arena, const char *text, int64_t lowest, oxp_shape *out)
{
    out->rank = 0;
    while (out->rank < OXP_MAX_RANK) {
        const size_t n = strcspn(text, ",");
        const char *word = oxp_arena_strndup(arena, text, n);
        int64_t *dim = &out->dim[out->rank++];
        if (!word || !oxp_parse_i64(word, dim) || *dim < lowest) return false;
        if (text[n] == '\0') return true;
        text += n + 1;
    }
    return false;
}

oxp_status oxp_ask_shapes(oxp_ctx *ctx, const oxp_model *model, const char *const *texts, size_t n,
                          oxp_shape **out)
{
    const oxp_onnx_model *onnx = model->onnx;
    oxp_shape *shapes = OXP_NEW(ctx->scratch, oxp_shape, onnx->n_inputs + 1);
    OXP_NOMEM_IF(ctx, shapes);
    for (size_t i = 0; i < onnx->n_inputs; i++) shapes[i] = onnx->inputs[i].shape;
    for (size_t i = 0; i < n; i++) {
        const char *equals = texts[i] ? strrchr(texts[i], '=') : NULL;
        oxp_shape asked;
        size_t index;
        char text[OXP_SHAPE_TEXT];
        OXP_FAIL_IF(ctx, !equals || !parse_dims(ctx->scratch, equals + 1, 1, &asked), OXP_EINVAL,
                    "a shape is given as NAME=1,3,224,224, found '%.120s'",
                    texts[i] ? texts[i] : "NULL");
        const char *name = oxp_arena_strndup(ctx->scratch, texts[i], (size_t)(equals - texts[i]));
        OXP_NOMEM_IF(ctx, name);
        OXP_TRY(find_input(ctx, model, name, &index));
        const oxp_shape *declared = &onnx->inputs[index].shape;
        bool fits = declared->rank < 0 || declared->rank == asked.rank;
        for (int a = 0; fits && a < declared->rank; a++)
            fits = declared->dim[a] == OXP_DIM_UNKNOWN || declared->dim[a] == asked.dim[a];
        OXP_FAIL_IF(ctx, !fits, OXP_EINVAL, "input '%.120s' has shape %s, it cannot be %s", name,
                    oxp_shape_text(declared, text), equals + 1);
        shapes[index] = asked;
    }
    *out = shapes;
    return OXP_OK;
}

/* ---- targets ---- */

/* The batch of a call: the first axis of the first input that has one. */
static int64_t batch_of(const oxp_model *model, const oxp_tensor *inputs)
{
    for (size_t i = 0; i < model->onnx->n_inputs; i++)
        if (inputs[i].shape.rank >= 2) return inputs[i].shape.dim[0];
    return 1;
}

/* The shape of one item of `tensor` for these inputs: what lies between is specialised. */
static oxp_status row_shape(oxp_ctx *ctx, const oxp_model *model, const oxp_tensor *inputs,
                            oxp_val tensor, oxp_shape *row, bool *batched)
{
    const oxp_graph *g = model->net.graph;
    oxp_feed *feeds = OXP_NEW(ctx->scratch, oxp_feed, g->n_inputs + 1);
    oxp_arena *tmp = oxp_arena_new(ctx->hooks);
    if (!feeds || !tmp) {
        oxp_arena_free(tmp);
        OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < g->n_inputs; i++) {
        const bool floats = oxp_dtype_is_float(oxp_value_of(g, g->inputs[i])->dtype);
        feeds[i] = (oxp_feed){g->inputs[i], inputs[i].shape, floats ? NULL : &inputs[i]};
    }
    const oxp_cut_data cut = {&model->net, feeds, inputs, g->n_inputs, &tensor, 1};
    oxp_special special;
    const oxp_status status = oxp_cut_specialise(ctx, tmp, &cut, &special);
    if (status == OXP_OK) {
        const oxp_shape *s = oxp_shape_at(special.g, special.g->outputs[0]);
        *batched = s->rank > 0 && s->dim[0] == batch_of(model, inputs);
        *row = *batched ? oxp_shape_of(s->rank - 1, s->dim + 1) : *s;
    }
    oxp_arena_free(tmp);
    ctx->stage = OXP_STAGE_ARG;
    return status;
}

/* "a[0,5]" or "a[5]": indices into the item, the batch index written as 0 or left out. */
static oxp_status ask_element(oxp_ctx *ctx, const oxp_model *model, const oxp_tensor *inputs,
                              const char *text, const char *bracket, oxp_asked_target *out)
{
    const char *name = oxp_arena_strndup(ctx->scratch, text, (size_t)(bracket - text));
    char *list = oxp_arena_strdup(ctx->scratch, bracket + 1);
    OXP_FAIL_IF(ctx, !name || !list, OXP_ENOMEM, "out of memory");
    list[strlen(list) - 1] = '\0';
    oxp_shape index, row;
    bool batched;
    OXP_TRY(oxp_ask_tensor(ctx, model, name, &out->tensor));
    OXP_FAIL_IF(ctx, !parse_dims(ctx->scratch, list, 0, &index), OXP_EINVAL,
                "an element is named as tensor[i,j,...], found '%.120s'", text);
    OXP_TRY(row_shape(ctx, model, inputs, out->tensor, &row, &batched));
    const bool with_batch = batched && index.rank == row.rank + 1;
    const int64_t *at = index.dim + with_batch;
    char shape[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(ctx, index.rank - with_batch != row.rank, OXP_EINVAL,
                "'%.120s' has %d indices; an item of '%.120s' has shape %s", text, index.rank, name,
                oxp_shape_text(&row, shape));
    OXP_FAIL_IF(ctx, with_batch && index.dim[0] != 0, OXP_EINVAL,
                "the first index of '%.120s' is the batch: write 0, it means every item", text);
    int64_t flat = 0;
    for (int a = 0; a < row.rank; a++) {
        OXP_FAIL_IF(ctx, at[a] >= row.dim[a], OXP_EINVAL,
                    "'%.120s' is outside the tensor: an item has shape %s", text,
                    oxp_shape_text(&row, shape));
        flat = flat * row.dim[a] + at[a];
    }
    out->target = (oxp_target){OXP_TARGET_ELEMENT, flat};
    return OXP_OK;
}

/* "a[0,5]" is an element of the tensor a, unless classes have names and there is no such tensor. */
static oxp_status is_element(oxp_ctx *ctx, const oxp_model *model, const char *text,
                             const char *bracket, bool *out)
{
    *out = bracket && bracket > text && text[strlen(text) - 1] == ']';
    if (!*out || model->labels.count == 0) return OXP_OK;
    const char *name = oxp_arena_strndup(ctx->scratch, text, (size_t)(bracket - text));
    OXP_NOMEM_IF(ctx, name);
    *out = oxp_graph_find(model->net.graph, name) != OXP_NO_VAL;
    return OXP_OK;
}

oxp_status oxp_ask_target(oxp_ctx *ctx, const oxp_model *model, const oxp_tensor *inputs,
                          const char *text, oxp_asked_target *out)
{
    int64_t number;
    *out = (oxp_asked_target){{OXP_TARGET_TOP, 1}, OXP_NO_VAL};
    if (text[0] == '\0') return OXP_OK;
    if (oxp_parse_i64(text, &number)) {
        out->target = (oxp_target){OXP_TARGET_CLASS, number};
        return OXP_OK;
    }
    if (strncmp(text, "top", 3) == 0 && oxp_parse_i64(text + 3, &number)) {
        out->target = (oxp_target){OXP_TARGET_TOP, number};
        return OXP_OK;
    }
    if (strncmp(text, "sum:", 4) == 0) {
        out->target = (oxp_target){OXP_TARGET_SUM, 0};
        return oxp_ask_tensor(ctx, model, text + 4, &out->tensor);
    }
    const char *bracket = strrchr(text, '[');
    bool element;
    OXP_TRY(is_element(ctx, model, text, bracket, &element));
    if (element) return ask_element(ctx, model, inputs, text, bracket, out);
    out->target.kind = OXP_TARGET_CLASS;
    return oxp_labels_find(ctx, &model->labels, text, &out->target.index);
}
