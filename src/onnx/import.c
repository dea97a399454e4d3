/* import.c - the import from end to end: parse, flatten, check support, constants, inputs, order,
 * nodes, outputs. Support is decided before the first tensor is touched. See import.h for what
 * comes out. */
#include "onnx/import.h"
#include "onnx/draft.h"
#include "onnx/embedding.h"
#include "onnx/normalise.h"
#include "onnx/tensor_import.h"
#include "ops/ops.h"
#include <math.h>
#include <string.h>

typedef struct importer {
    oxp_ctx *ctx;
    oxp_arena *arena; /* the model's */
    oxp_pb_model pb;
    oxp_draft draft;
    oxp_tensor_source source;
    oxp_onnx_model *model;
    /* of the graph at hand: the model's, a branch or a body */
    oxp_graph *graph;
    oxp_strmap
        values; /* tensor name -> oxp_val, as far as made; OXP_NO_VAL: texts, which are not computed */
} importer;

enum { STRING = 8 }; /* ONNX's number of the type */

static oxp_status keep(importer *im, const char *text, const char **out)
{
    *out = oxp_arena_strdup(im->arena, text);
    OXP_NOMEM_IF(im->ctx, *out);
    return OXP_OK;
}

/* ---- tensors that no node makes ---- */

/* `name` must outlive the import; what: for the message. */
static oxp_status bind(importer *im, const char *name, oxp_val v, const char *what)
{
    OXP_FAIL_IF(im->ctx, name[0] == '\0', OXP_ECORRUPT, "an %s has no name", what);
    OXP_FAIL_IF(im->ctx, oxp_strmap_get(&im->values, name, NULL), OXP_ECORRUPT,
                "the %s '%s' has the name of another tensor", what, name);
    OXP_FAIL_IF(im->ctx, !oxp_strmap_put(&im->values, name, v), OXP_ENOMEM, "out of memory");
    return OXP_OK;
}

static oxp_status add_constant(importer *im, const char *name, const oxp_tensor *tensor,
                               const char *what)
{
    oxp_val v;
    OXP_TRY(oxp_graph_add_const(im->ctx, im->graph, name, tensor->dtype, tensor, &v));
    return bind(im, name, v, what);
}

static oxp_status new_tensor(importer *im, oxp_tensor **out)
{
    *out = OXP_NEW(im->arena, oxp_tensor, 1);
    OXP_NOMEM_IF(im->ctx, *out);
    return OXP_OK;
}

/* Floats, and integers of one byte: quantised weights. Wider integers may be shapes. */
static bool holds_weights(oxp_dtype type)
{
    return oxp_dtype_is_float(type) || (oxp_dtype_is_int(type) && oxp_dtype_size(type) == 1);
}

static oxp_status add_initializers(importer *im)
{
    const oxp_pb_graph *g = &im->pb.graph;
    OXP_FAIL_IF(im->ctx, g->n_sparse > 0, OXP_EUNSUPPORTED,
                "the model has %zu sparse initializers, which are not supported", g->n_sparse);
    for (size_t i = 0; i < g->initializer.n; i++) {
        const oxp_pb_tensor *pb = &g->initializer.items[i];
        oxp_tensor *tensor;
        if (pb->dtype == STRING) {
            OXP_TRY(bind(im, pb->name, OXP_NO_VAL, "initializer"));
            continue;
        }
        OXP_TRY(new_tensor(im, &tensor));
        OXP_TRY(oxp_tensor_import(im->ctx, &im->source, pb, tensor));
        OXP_TRY(add_constant(im, pb->name, tensor, "initializer"));
        if (!holds_weights(tensor->dtype)) continue;
        im->model->parameters += (uint64_t)oxp_shape_elements(&tensor->shape);
        im->model->parameter_bytes += oxp_tensor_bytes(tensor);
    }
    return OXP_OK;
}

/* An attribute's tensor; calls of a function share the one of its node. */
static oxp_status import_value(importer *im, oxp_pb_tensor *pb, const oxp_tensor **out)
{
    oxp_tensor *tensor;
    *out = pb->made;
    if (*out) return OXP_OK;
    OXP_TRY(new_tensor(im, &tensor));
    OXP_TRY(oxp_tensor_import(im->ctx, &im->source, pb, tensor));
    *out = pb->made = tensor;
    return OXP_OK;
}

/* The number or list of a Constant node as a tensor of the arena's. */
static oxp_status constant_values(importer *im, const oxp_pb_attr *a, const oxp_tensor **out)
{
    const bool is_int = a->type == OXP_PB_INT || a->type == OXP_PB_INTS;
    const bool is_list = a->type == OXP_PB_INTS || a->type == OXP_PB_FLOATS;
    const size_t n = !is_list ? 1 : is_int ? a->ints.n : a->floats.n;
    const size_t size = oxp_dtype_size(is_int ? OXP_I64 : OXP_F32);
    unsigned char *data = oxp_arena_alloc_aligned(im->arena, n, size);
    OXP_NOMEM_IF(im->ctx, data);
    for (size_t i = 0; i < n; i++) {
        const int64_t whole = !is_int ? 0 : is_list ? a->ints.items[i] : a->i;
        const float real = is_int ? 0 : (float)(is_list ? a->floats.items[i] : a->f);
        memcpy(data + i * size, is_int ? (const void *)&whole : (const void *)&real, size);
    }
    oxp_tensor *tensor;
    OXP_TRY(new_tensor(im, &tensor));
    *tensor = (oxp_tensor){.dtype = is_int ? OXP_I64 : OXP_F32,
                           .shape = {.rank = is_list, .dim = {(int64_t)n}},
                           .data = data};
    *out = tensor;
    return OXP_OK;
}

static oxp_status add_constant_nodes(importer *im, const oxp_draft *draft)
{
    for (size_t i = 0; i < draft->n_nodes; i++) {
        const oxp_draft_node *node = &draft->nodes[i];
        if (!oxp_draft_is_constant(node)) continue;
        im->ctx->node = node->name;
        im->ctx->op = node->op_type;
        const oxp_pb_attr *a = node->attrs[0];
        const oxp_tensor *tensor = NULL;
        if (a->type == OXP_PB_TENSOR && a->t && a->t->dtype == STRING) {
            OXP_TRY(bind(im, node->out[0], OXP_NO_VAL, "output of a Constant"));
            continue;
        }
        if (a->type == OXP_PB_TENSOR)
            OXP_TRY(import_value(im, a->t, &tensor));
        else
            OXP_TRY(constant_values(im, a, &tensor));
        OXP_TRY(add_constant(im, node->out[0], tensor, "output of a Constant"));
    }
    im->ctx->node = im->ctx->op = NULL;
    return OXP_OK;
}

/* ---- inputs and outputs ---- */

static oxp_status declare_dims(importer *im, const oxp_pb_value *pb, oxp_onnx_io *io)
{
    io->shape = (oxp_shape){.rank = -1};
    if (!pb->has_shape) return OXP_OK;
    OXP_FAIL_IF(im->ctx, pb->dims.n > OXP_MAX_RANK, OXP_EUNSUPPORTED,
                "'%s' has %zu dimensions, at most %d are supported", pb->name, pb->dims.n,
                OXP_MAX_RANK);
    io->shape.rank = (int32_t)pb->dims.n;
    for (size_t i = 0; i < pb->dims.n; i++) {
        const oxp_pb_dim *d = &pb->dims.items[i];
        const bool known = d->has_value && d->value >= 0; /* some exporters write -1 */
        io->shape.dim[i] = known ? d->value : OXP_DIM_UNKNOWN;
        if (!known && d->param[0] != '\0') OXP_TRY(keep(im, d->param, &io->symbols[i]));
    }
    return OXP_OK;
}

static oxp_status declare(importer *im, const oxp_pb_value *pb, oxp_onnx_io *io)
{
    io->dtype = oxp_pb_dtype(pb->dtype);
    OXP_FAIL_IF(im->ctx, pb->is_other, OXP_EUNSUPPORTED,
                "'%s' is a sequence, map or optional value: only tensors are supported", pb->name);
    OXP_TRY(keep(im, pb->name, &io->name));
    return declare_dims(im, pb, io);
}

static oxp_status add_inputs(importer *im)
{
    const oxp_pb_graph *g = &im->pb.graph;
    const oxp_strmap *known = &im->values;
    im->model->inputs = OXP_NEW(im->arena, oxp_onnx_io, g->input.n);
    OXP_NOMEM_IF(im->ctx, im->model->inputs);
    for (size_t i = 0; i < g->input.n; i++) {
        const oxp_pb_value *pb = &g->input.items[i];
        uint32_t v;
        if (oxp_strmap_get(known, pb->name, &v) &&
            (v == OXP_NO_VAL || oxp_value_of(im->graph, v)->kind == OXP_VALUE_CONST))
            continue; /* an input with a default value: the default it is */
        oxp_onnx_io *io = &im->model->inputs[im->model->n_inputs++];
        OXP_TRY(declare(im, pb, io));
        OXP_FAIL_IF(im->ctx, io->dtype == OXP_DTYPE_NONE, OXP_EUNSUPPORTED,
                    "input '%s' takes %s: only numbers are supported", pb->name,
                    oxp_pb_dtype_name(pb->dtype));
        OXP_TRY(oxp_graph_add_value(im->ctx, im->graph, pb->name, OXP_VALUE_INPUT, io->dtype,
                                    &io->shape, &io->value));
        OXP_TRY(bind(im, pb->name, io->value, "input"));
    }
    return OXP_OK;
}

/* The map that a ZipMap makes is the tensor of its values here. */
static bool is_zip_map(const importer *im, const oxp_pb_value *pb)
{
    uint32_t v;
    if (!pb->is_other || !oxp_strmap_get(&im->values, pb->name, &v) || v == OXP_NO_VAL)
        return false;
    const uint32_t maker = oxp_value_of(im->graph, v)->producer;
    return maker != OXP_NO_NODE && im->graph->nodes[maker]->op == &oxp_op_ml_ZipMap;
}

/* Texts are not computed: a class's name beside its scores is none of the results. */
static bool is_text(const oxp_pb_value *pb)
{
    return !pb->is_other && pb->dtype == STRING;
}

/* The first of the graph's outputs is the one that is explained: scores rather than a label before
 * them. */
static oxp_status order_outputs(importer *im)
{
    const oxp_onnx_model *m = im->model;
    size_t first = 0;
    while (first < m->n_outputs && oxp_dtype_is_int(m->outputs[first].dtype)) first++;
    if (first == m->n_outputs) first = 0;
    OXP_TRY(oxp_graph_add_output(im->ctx, im->graph, m->outputs[first].value));
    for (size_t i = 0; i < m->n_outputs; i++)
        if (i != first) OXP_TRY(oxp_graph_add_output(im->ctx, im->graph, m->outputs[i].value));
    return OXP_OK;
}

static oxp_status add_outputs(importer *im)
{
    const oxp_pb_graph *g = &im->pb.graph;
    size_t texts = 0;
    for (size_t i = 0; i < g->output.n; i++) texts += is_text(&g->output.items[i]);
    im->model->outputs = OXP_NEW(im->arena, oxp_onnx_io, g->output.n);
    OXP_NOMEM_IF(im->ctx, im->model->outputs);
    OXP_FAIL_IF(im->ctx, g->output.n == 0, OXP_ECORRUPT, "the model has no output");
    for (size_t i = 0; i < g->output.n; i++) {
        const oxp_pb_value *pb = &g->output.items[i];
        if (is_text(pb) && texts < g->output.n) continue;
        oxp_onnx_io *io = &im->model->outputs[im->model->n_outputs++];
        const oxp_pb_value values = {.name = pb->name};
        OXP_TRY(declare(im, is_zip_map(im, pb) ? &values : pb, io));
        OXP_FAIL_IF(im->ctx, !oxp_strmap_get(&im->values, pb->name, &io->value), OXP_ECORRUPT,
                    "nothing in the model makes its output '%s'", pb->name);
        OXP_FAIL_IF(im->ctx, io->value == OXP_NO_VAL, OXP_EUNSUPPORTED,
                    "output '%s' is made of strings, which cannot be explained", pb->name);
    }
    return order_outputs(im);
}

/* ---- nodes ---- */

/* A list of strings as one, with commas between. */
static oxp_status join_strings(importer *im, const oxp_pb_attr *a, const char **out)
{
    oxp_strbuf text;
    oxp_strbuf_init(&text, im->ctx->scratch);
    for (size_t i = 0; i < a->strings.n; i++) {
        const oxp_bytes s = a->strings.items[i];
        const bool plain = !s.size || (!memchr(s.data, 0, s.size) && !memchr(s.data, ',', s.size));
        OXP_FAIL_IF(im->ctx, !plain, OXP_ECORRUPT,
                    "attribute %s has a zero byte or a comma in one of its texts", a->name);
        if (i > 0) oxp_strbuf_puts(&text, ",");
        oxp_strbuf_add(&text, s.size ? (const char *)s.data : "", s.size);
    }
    *out = oxp_strbuf_str(&text);
    OXP_NOMEM_IF(im->ctx, *out);
    return OXP_OK;
}

static oxp_status convert_attr(importer *im, const oxp_pb_attr *a, oxp_attr *out)
{
    oxp_ctx *ctx = im->ctx;
    *out = (oxp_attr){.name = a->name, .i = a->i, .f = a->f};
    switch (a->type) {
    case OXP_PB_INT:
        out->type = OXP_ATTR_INT;
        break;
    case OXP_PB_FLOAT:
        out->type = OXP_ATTR_FLOAT;
        break;
    case OXP_PB_STRING:
        OXP_FAIL_IF(ctx, a->s.size && memchr(a->s.data, 0, a->s.size), OXP_ECORRUPT,
                    "attribute %s has a zero byte in its text", a->name);
        out->type = OXP_ATTR_STRING;
        out->s =
            a->s.size ? oxp_arena_strndup(ctx->scratch, (const char *)a->s.data, a->s.size) : "";
        OXP_NOMEM_IF(ctx, out->s);
        break;
    case OXP_PB_STRINGS:
        out->type = OXP_ATTR_STRING;
        return join_strings(im, a, &out->s);
    case OXP_PB_INTS:
        out->type = OXP_ATTR_INTS;
        out->n = a->ints.n;
        out->ints = a->ints.items;
        break;
    case OXP_PB_FLOATS:
        out->type = OXP_ATTR_FLOATS;
        out->n = a->floats.n;
        out->floats = a->floats.items;
        break;
    default: /* a tensor: support.c let nothing else pass */
        out->type = OXP_ATTR_TENSOR;
        return import_value(im, a->t, &out->t);
    }
    return OXP_OK;
}

static oxp_status add_nodes(importer *im, const oxp_draft *draft);

/* ---- branches and bodies ---- */

static oxp_status add_sub_input(importer *im, const char *name, oxp_dtype dtype)
{
    oxp_val v;
    OXP_TRY(oxp_graph_add_value(im->ctx, im->graph, name, OXP_VALUE_INPUT, dtype, NULL, &v));
    return bind(im, name, v, "input of a branch or body");
}

static oxp_status fill_sub(importer *im, const oxp_draft_node *node, const oxp_draft_sub *sub)
{
    const oxp_pb_graph *pb = sub->pb;
    for (size_t i = 0; i < pb->input.n; i++) {
        const oxp_dtype dtype = oxp_pb_dtype(pb->input.items[i].dtype);
        OXP_TRY(add_sub_input(
            im, sub->in[i], dtype == OXP_DTYPE_NONE ? OXP_DTYPE_NONE : oxp_dtype_canonical(dtype)));
    }
    for (size_t i = 0; i < node->n_captures; i++)
        OXP_TRY(add_sub_input(im, node->in[node->n_in + i], OXP_DTYPE_NONE));
    for (size_t i = 0; i < pb->initializer.n; i++) {
        const oxp_tensor *tensor;
        OXP_TRY(import_value(im, &pb->initializer.items[i], &tensor));
        OXP_TRY(add_constant(im, sub->init[i], tensor, "initializer"));
    }
    OXP_TRY(add_constant_nodes(im, sub->body));
    OXP_TRY(add_nodes(im, sub->body));
    for (size_t i = 0; i < pb->output.n; i++) {
        uint32_t v;
        OXP_FAIL_IF(im->ctx, !oxp_strmap_get(&im->values, sub->out[i], &v), OXP_ECORRUPT,
                    "nothing makes the output '%s' of attribute %s", sub->out[i], sub->attr);
        OXP_TRY(oxp_graph_add_output(im->ctx, im->graph, v));
    }
    return OXP_OK;
}

/* A branch or body as a graph of its own: its inputs, then what it reads from the graphs around. As
 * deep as flatten.c lets it be. */
static oxp_status convert_sub(importer *im, const oxp_draft_node *node, const char *name,
                              oxp_attr *out)
{
    const oxp_draft_sub *sub = node->subs;
    while (strcmp(sub->attr, name) != 0) sub++;
    oxp_graph *around = im->graph;
    const oxp_strmap values = im->values;
    im->graph = oxp_graph_new(im->arena);
    OXP_NOMEM_IF(im->ctx, im->graph);
    oxp_strmap_init(&im->values, im->ctx->scratch);
    OXP_TRY(fill_sub(im, node, sub));
    *out = (oxp_attr){.name = sub->attr, .type = OXP_ATTR_GRAPH, .g = im->graph};
    im->graph = around;
    im->values = values;
    im->ctx->node = node->name;
    im->ctx->op = node->op_type;
    return OXP_OK;
}

/* ---- class names ---- */

static bool names_classes(const oxp_draft_node *node, const oxp_pb_attr *a)
{
    return strcmp(node->domain, "ai.onnx.ml") == 0 && strncmp(a->name, "classlabels_", 12) == 0;
}

static oxp_status class_name(importer *im, const oxp_pb_attr *a, size_t i, const char **out)
{
    if (a->type == OXP_PB_INTS) {
        *out = oxp_arena_printf(im->arena, "%lld", (long long)a->ints.items[i]);
    } else {
        const oxp_bytes s = a->strings.items[i];
        *out = oxp_arena_strndup(im->arena, s.size ? (const char *)s.data : "", s.size);
    }
    OXP_NOMEM_IF(im->ctx, *out);
    return OXP_OK;
}

/* A classifier's labels become the model's class names, unless they are only numbers from 0 on. */
static oxp_status add_class_names(importer *im, const oxp_pb_attr *a)
{
    oxp_onnx_model *m = im->model;
    const size_t n = a->type == OXP_PB_INTS ? a->ints.n : a->strings.n;
    bool plain = a->type == OXP_PB_INTS;
    for (size_t i = 0; plain && i < n; i++) plain = a->ints.items[i] == (int64_t)i;
    if (plain || n == 0) return OXP_OK;
    const char **names = OXP_NEW(im->arena, const char *, n);
    OXP_NOMEM_IF(im->ctx, names);
    for (size_t i = 0; i < n; i++) OXP_TRY(class_name(im, a, i, &names[i]));
    m->class_names = names;
    m->n_class_names = n;
    return OXP_OK;
}

/* The draft's node with values instead of names and attributes instead of records. */
static oxp_status make_form(importer *im, const oxp_draft_node *node, oxp_form *form)
{
    oxp_ctx *ctx = im->ctx;
    const size_t n_in = node->n_in + node->n_captures;
    *form = (oxp_form){.op = oxp_op_find_in(node->domain, node->op_type), .opset = node->opset};
    form->in = OXP_NEW(ctx->scratch, oxp_val, n_in);
    form->attrs = OXP_NEW(ctx->scratch, oxp_attr, node->n_attrs + OXP_NORMALISE_ROOM + 1);
    OXP_FAIL_IF(ctx, !form->in || !form->attrs, OXP_ENOMEM, "out of memory");
    for (; form->n_in < n_in; form->n_in++) {
        const char *name = node->in[form->n_in];
        OXP_FAIL_IF(ctx,
                    name[0] != '\0' && !oxp_strmap_get(&im->values, name, &form->in[form->n_in]),
                    OXP_EINTERNAL, "tensor '%s' is read before it is made", name);
    }
    for (; form->n_attrs < node->n_attrs; form->n_attrs++) {
        const oxp_pb_attr *a = node->attrs[form->n_attrs];
        if (names_classes(node, a)) OXP_TRY(add_class_names(im, a));
        if (names_classes(node, a) && a->type == OXP_PB_STRINGS)
            form->attrs[form->n_attrs] = OXP_INT("classes", (int64_t)a->strings.n);
        else if (a->type == OXP_PB_GRAPH)
            OXP_TRY(convert_sub(im, node, a->name, &form->attrs[form->n_attrs]));
        else
            OXP_TRY(convert_attr(im, a, &form->attrs[form->n_attrs]));
    }
    if (node->n_subs) form->attrs[form->n_attrs++] = OXP_INT("captures", (int64_t)node->n_captures);
    return OXP_OK;
}

/* The second operand laid against an axis of the first, as before opset 7. */
static oxp_status align_operand(importer *im, const oxp_draft_node *node, oxp_form *form)
{
    oxp_node *made;
    const oxp_val in[] = {form->in[1], form->in[0]};
    const oxp_attr axis = OXP_INT("axis", form->align_axis);
    OXP_TRY(oxp_graph_add_node(im->ctx, im->graph, &oxp_op__Align, in, 2, 1, &axis, 1, node->name,
                               &made));
    form->in[1] = made->out[0];
    return OXP_OK;
}

/* "node/part", unless a tensor has that name */
static oxp_status name_part(importer *im, const oxp_draft_node *node, const char *part, oxp_val v)
{
    const char *name = oxp_arena_printf(im->arena, "%s/%s", node->name, part);
    OXP_NOMEM_IF(im->ctx, name);
    if (v == OXP_NO_VAL || oxp_strmap_get(&im->values, name, NULL)) return OXP_OK;
    oxp_value_of(im->graph, v)->name = name;
    return bind(im, name, v, "output");
}

/* The first and third output of the node are made by its parts. */
static oxp_status add_embedding(importer *im, const oxp_draft_node *node, const oxp_form *form,
                                oxp_node *made)
{
    oxp_embedding parts;
    OXP_TRY(oxp_import_embedding(im->ctx, im->graph, form, node->name, &parts));
    OXP_TRY(name_part(im, node, "word", parts.word));
    OXP_TRY(name_part(im, node, "segment", parts.segment));
    made->out[0] = parts.y;
    if (node->n_out > 2) made->out[2] = parts.sum;
    return OXP_OK;
}

static oxp_status add_node(importer *im, const oxp_draft_node *node)
{
    oxp_form form;
    oxp_node *made, parts;
    oxp_val out[OXP_OP_MAX_OUT];
    OXP_TRY(make_form(im, node, &form));
    oxp_normalise(&form);
    if (form.align) OXP_TRY(align_operand(im, node, &form));
    OXP_TRY(oxp_graph_add_node(im->ctx, im->graph, form.op, form.in, form.n_in, node->n_out,
                               form.attrs, form.n_attrs, node->name, &made));
    if (form.op == &oxp_op_ms_EmbedLayerNormalization) {
        parts = *made; /* the node keeps results of its own, that nobody reads */
        parts.out = memcpy(out, made->out, made->n_out * sizeof *out);
        OXP_TRY(add_embedding(im, node, &form, &parts));
        made = &parts;
    }
    for (size_t i = 0; i < node->n_out; i++) {
        const char *name = node->out[i];
        if (name[0] == '\0') {
            if (i > 0) made->out[i] = OXP_NO_VAL;
            continue;
        }
        OXP_TRY(keep(im, name, &oxp_value_of(im->graph, made->out[i])->name));
        OXP_TRY(bind(im, name, made->out[i], "output"));
    }
    return OXP_OK;
}

/* ---- texts: what is made of them is a class's name beside its scores, and is left out ---- */

static bool reads_texts(const importer *im, const oxp_draft_node *node)
{
    uint32_t v;
    for (size_t i = 0; i < node->n_in + node->n_captures; i++)
        if (oxp_strmap_get(&im->values, node->in[i], &v) && v == OXP_NO_VAL) return true;
    return false;
}

/* The texts of this initializer become the model's class names, if it has none. */
static oxp_status take_class_names(importer *im, const char *name)
{
    const oxp_pb_graph *g = &im->pb.graph;
    oxp_onnx_model *m = im->model;
    size_t i = 0, cap = 0;
    const char **names = NULL;
    while (i < g->initializer.n && strcmp(g->initializer.items[i].name, name) != 0) i++;
    if (m->n_class_names || i == g->initializer.n) return OXP_OK;
    oxp_wire w = oxp_wire_open(im->source.file, g->initializer.items[i].body);
    for (oxp_wire_field f; oxp_wire_next(&w, &f);) {
        if (f.number != 6) continue; /* string_data */
        const oxp_bytes s = oxp_wire_bytes(&w, &f);
        OXP_FAIL_IF(im->ctx,
                    !oxp_arena_grow(im->arena, &names, m->n_class_names, &cap, sizeof *names),
                    OXP_ENOMEM, "out of memory");
        names[m->n_class_names] =
            oxp_arena_strndup(im->arena, s.size ? (const char *)s.data : "", s.size);
        OXP_NOMEM_IF(im->ctx, names[m->n_class_names++]);
    }
    m->class_names = names;
    return im->source.file->status;
}

static oxp_status skip_texts(importer *im, const oxp_draft_node *node)
{
    for (size_t i = 0; i < node->n_out; i++)
        if (node->out[i][0] != '\0') OXP_TRY(bind(im, node->out[i], OXP_NO_VAL, "output"));
    if (oxp_op_find_in(node->domain, node->op_type) != &oxp_op_ml_ArrayFeatureExtractor)
        return OXP_OK;
    return take_class_names(im, node->in[0]);
}

static oxp_status add_nodes(importer *im, const oxp_draft *draft)
{
    uint32_t *order;
    size_t n;
    OXP_TRY(oxp_draft_order(im->ctx, draft, &im->values, &order, &n));
    for (size_t i = 0; i < n; i++) {
        const oxp_draft_node *node = &draft->nodes[order[i]];
        im->ctx->node = node->name;
        im->ctx->op = node->op_type;
        OXP_TRY(reads_texts(im, node) ? skip_texts(im, node) : add_node(im, node));
    }
    im->ctx->node = im->ctx->op = NULL;
    return OXP_OK;
}

/* ---- weights that are no numbers ---- */

static int64_t first_not_finite(const oxp_tensor *t)
{
    enum { RUN = 1024 };
    double run[RUN];
    const int64_t n = oxp_shape_elements(&t->shape);
    const size_t size = oxp_dtype_size(t->dtype);
    for (int64_t at = 0; at < n; at += RUN) {
        const int64_t m = n - at < RUN ? n - at : RUN;
        double sum = 0.0;
        oxp_convert(run, OXP_F64, (const unsigned char *)t->data + (size_t)at * size, t->dtype, m);
        for (int64_t i = 0; i < m; i++) sum += run[i] * 0.0;
        for (int64_t i = 0; isnan(sum) && i < m; i++)
            if (!isfinite(run[i])) return at + i;
    }
    return -1;
}

/* A rectifier turns NaN into 0: such a weight could make a wrong map silently. Where constants
 * mask (-inf before a Softmax) or bound they are left alone. */
static oxp_status check_weights(importer *im)
{
    const oxp_graph *g = im->graph;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const oxp_node *node = g->nodes[i];
        if (!oxp_op_is_conv(node->op) && node->op != &oxp_op_MatMul && node->op != &oxp_op_Gemm &&
            node->op != &oxp_op_BatchNormalization)
            continue;
        for (uint32_t k = 0; k < node->n_in; k++) {
            const oxp_value *v = node->in[k] ? oxp_value_of(g, node->in[k]) : NULL;
            if (!v || v->kind != OXP_VALUE_CONST || !oxp_dtype_is_float(v->constant->dtype))
                continue;
            const int64_t at = first_not_finite(v->constant);
            im->ctx->node = node->origin;
            im->ctx->op = node->op->name;
            OXP_FAIL_IF(im->ctx, at >= 0, OXP_ECORRUPT,
                        "element %lld of weight '%s' is not a finite number: the file is damaged, "
                        "or training diverged",
                        (long long)at, v->name ? v->name : "");
        }
    }
    im->ctx->node = im->ctx->op = NULL;
    return OXP_OK;
}

/* ---- the whole ---- */

static oxp_status describe(importer *im)
{
    oxp_onnx_model *m = im->model;
    m->ir_version = im->pb.ir_version;
    m->opset = im->draft.opset;
    OXP_TRY(keep(im, im->pb.producer_name, &m->producer));
    OXP_TRY(keep(im, im->pb.producer_version, &m->producer_version));
    m->metadata = OXP_NEW(im->arena, oxp_onnx_entry, im->pb.metadata.n);
    OXP_NOMEM_IF(im->ctx, m->metadata);
    for (; m->n_metadata < im->pb.metadata.n; m->n_metadata++) {
        const oxp_pb_entry *e = &im->pb.metadata.items[m->n_metadata];
        OXP_TRY(keep(im, e->key, &m->metadata[m->n_metadata].key));
        OXP_TRY(keep(im, e->value, &m->metadata[m->n_metadata].value));
    }
    return OXP_OK;
}

static oxp_status run(importer *im)
{
    OXP_TRY(oxp_draft_flatten(im->ctx, &im->pb, &im->draft));
    OXP_TRY(oxp_draft_check_support(im->ctx, &im->draft));
    im->model = OXP_NEW(im->arena, oxp_onnx_model, 1);
    im->graph = oxp_graph_new(im->arena);
    OXP_FAIL_IF(im->ctx, !im->model || !im->graph, OXP_ENOMEM, "out of memory");
    im->model->graph = im->graph;
    OXP_TRY(describe(im));
    OXP_TRY(add_initializers(im));
    OXP_TRY(add_inputs(im));
    OXP_TRY(add_constant_nodes(im, &im->draft));
    OXP_TRY(add_nodes(im, &im->draft));
    OXP_TRY(add_outputs(im));
    OXP_TRY(check_weights(im));
    oxp_ctx_log(im->ctx, "import", "opset %lld, %zu nodes, %llu parameters",
                (long long)im->model->opset, im->graph->n_nodes,
                (unsigned long long)im->model->parameters);
    return OXP_OK;
}

oxp_status oxp_import(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes file, const char *external_dir,
                      uint64_t max_bytes, oxp_onnx_model **out)
{
    importer im = {.ctx = ctx, .arena = arena};
    oxp_strmap_init(&im.values, ctx->scratch);
    OXP_TRY(oxp_pb_parse(ctx, file, max_bytes, &im.pb));
    im.source =
        (oxp_tensor_source){arena, &im.pb.file, external_dir, max_bytes ? max_bytes : UINT64_MAX};
    ctx->stage = OXP_STAGE_IMPORT;
    const oxp_status status = run(&im);
    ctx->node = ctx->op = NULL;
    OXP_TRY(status);
    *out = im.model;
    return OXP_OK;
}

/* Inputs and outputs as the file declares them; those that are no tensors are among the lacks. */
static oxp_status declare_all(importer *im, const oxp_pb_value *pb, size_t n, oxp_onnx_io **out,
                              size_t *n_out)
{
    oxp_strmap defaults;
    oxp_strmap_init(&defaults, im->ctx->scratch);
    const oxp_pb_graph *g = &im->pb.graph;
    for (size_t i = 0; i < g->initializer.n; i++)
        OXP_FAIL_IF(im->ctx, !oxp_strmap_put(&defaults, g->initializer.items[i].name, 0),
                    OXP_ENOMEM, "out of memory");
    *out = OXP_NEW(im->arena, oxp_onnx_io, n + 1);
    OXP_NOMEM_IF(im->ctx, *out);
    for (size_t i = 0; i < n; i++) {
        if (pb[i].is_other || pb[i].dims.n > OXP_MAX_RANK ||
            oxp_strmap_get(&defaults, pb[i].name, NULL))
            continue;
        OXP_TRY(declare(im, &pb[i], &(*out)[(*n_out)++]));
    }
    return OXP_OK;
}

/* The draft and what it lacks; an opset that is not supported is all there is to say then. */
static oxp_status list_lacks(importer *im)
{
    oxp_error why = {0}, *const outer = im->ctx->error;
    oxp_onnx_model *m = im->model;
    im->ctx->error = &why;
    const oxp_status status = oxp_draft_flatten(im->ctx, &im->pb, &im->draft);
    im->ctx->error = outer;
    OXP_FAIL_IF(im->ctx, status != OXP_OK && status != OXP_EUNSUPPORTED, status, "%s", why.message);
    if (status == OXP_OK)
        return oxp_draft_lacks(im->ctx, im->arena, &im->draft, &m->lacks, &m->n_lacks);
    m->lacks = OXP_NEW(im->arena, const char *, 1);
    OXP_NOMEM_IF(im->ctx, m->lacks);
    im->draft.opset = oxp_pb_opset_of(im->pb.opset_import.items, im->pb.opset_import.n, "");
    m->n_lacks = 1;
    return keep(im, why.message, &m->lacks[0]);
}

oxp_status oxp_import_facts(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes file, uint64_t max_bytes,
                            oxp_onnx_model **out)
{
    importer im = {.ctx = ctx, .arena = arena};
    OXP_TRY(oxp_pb_parse(ctx, file, max_bytes, &im.pb));
    ctx->stage = OXP_STAGE_IMPORT;
    oxp_onnx_model *m = im.model = OXP_NEW(arena, oxp_onnx_model, 1);
    OXP_NOMEM_IF(ctx, m);
    OXP_TRY(list_lacks(&im));
    OXP_TRY(describe(&im));
    const oxp_pb_graph *g = &im.pb.graph;
    OXP_TRY(declare_all(&im, g->input.items, g->input.n, &m->inputs, &m->n_inputs));
    OXP_TRY(declare_all(&im, g->output.items, g->output.n, &m->outputs, &m->n_outputs));
    *out = m;
    return OXP_OK;
}
