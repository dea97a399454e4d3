/* schema.c - decodes the messages of an ONNX file; see schema.h. One function per message: the
 * numbers are the field numbers of onnx.proto. A message field that comes twice is merged, as
 * protocol buffers define: scalars are replaced, lists grow. */
#include "onnx/schema.h"
#include <string.h>

/* What a read function needs: the message around the field, and the file's budget for records. */
typedef struct reader {
    oxp_wire w;
    oxp_pb_model *model;
} reader;

/* A new zeroed last item of a list; NULL after a failure. */
static void *push(reader *r, void *items, size_t *n, size_t *cap, size_t size)
{
    oxp_wire_file *file = r->w.file;
    if (file->status != OXP_OK) return NULL;
    const size_t old_cap = *cap;
    if (!oxp_arena_grow(file->ctx->scratch, items, *n, cap, size)) {
        file->status = oxp_ctx_fail(file->ctx, OXP_ENOMEM, "out of memory");
        return NULL;
    }
    const uint64_t grown = (uint64_t)(*cap - old_cap) * size;
    if (r->model->records_left < grown) {
        oxp_wire_fail(file, r->w.at, OXP_ELIMIT, "more records than memory is allowed for");
        return NULL;
    }
    r->model->records_left -= grown;
    unsigned char *first;
    memcpy(&first, items, sizeof first); /* items is some type **, as for oxp_arena_grow */
    return first + (*n)++ * size;
}

#define PUSH(r, list) push((r), &(list).items, &(list).n, &(list).cap, sizeof *(list).items)

/* Opens the message in f; false when there is nowhere to decode it to. */
static bool enter(const reader *r, const oxp_wire_field *f, const void *out, reader *inner)
{
    inner->model = r->model;
    return out != NULL && oxp_wire_enter(&r->w, f, &inner->w);
}

static void add_text(reader *r, const oxp_wire_field *f, oxp_pb_texts *list)
{
    const char **slot = PUSH(r, *list);
    if (slot) *slot = oxp_wire_text(&r->w, f);
}

static void add_int(reader *r, int64_t **items, size_t *n, size_t *cap, const oxp_wire_field *f)
{
    oxp_wire_numbers numbers = oxp_wire_list(&r->w, f, OXP_WIRE_VARINT);
    for (uint64_t bits; oxp_wire_number(&numbers, &bits);) {
        int64_t *slot = push(r, items, n, cap, sizeof *slot);
        if (slot) *slot = (int64_t)bits;
    }
}

#define ADD_INTS(r, list, f) add_int((r), &(list).items, &(list).n, &(list).cap, (f))

static void add_floats(reader *r, const oxp_wire_field *f, oxp_pb_attr *out)
{
    oxp_wire_numbers numbers = oxp_wire_list(&r->w, f, OXP_WIRE_FIXED32);
    for (uint64_t bits; oxp_wire_number(&numbers, &bits);) {
        double *slot = PUSH(r, out->floats);
        const oxp_wire_field one = {.type = OXP_WIRE_FIXED32, .bits = bits};
        if (slot) *slot = oxp_wire_float(&r->w, &one);
    }
}

static void add_bytes(reader *r, const oxp_wire_field *f, oxp_pb_attr *out)
{
    oxp_bytes *slot = PUSH(r, out->strings);
    if (slot) *slot = oxp_wire_bytes(&r->w, f);
}

static void read_entry(const reader *outer, const oxp_wire_field *field, oxp_pb_entry *out)
{
    reader r;
    if (!enter(outer, field, out, &r)) return;
    *out = (oxp_pb_entry){"", ""};
    for (oxp_wire_field f; oxp_wire_next(&r.w, &f);) {
        if (f.number == 1) out->key = oxp_wire_text(&r.w, &f);
        if (f.number == 2) out->value = oxp_wire_text(&r.w, &f);
    }
}

static void read_opset(const reader *outer, const oxp_wire_field *field, oxp_pb_opset *out)
{
    reader r;
    if (!enter(outer, field, out, &r)) return;
    *out = (oxp_pb_opset){"", 0};
    for (oxp_wire_field f; oxp_wire_next(&r.w, &f);) {
        if (f.number == 1) out->domain = oxp_wire_text(&r.w, &f);
        if (f.number == 2) out->version = oxp_wire_int(&r.w, &f);
    }
}

static void read_tensor_fields(reader *r, oxp_pb_tensor *out)
{
    for (oxp_wire_field f; oxp_wire_next(&r->w, &f);) {
        switch (f.number) {
        case 1:
            ADD_INTS(r, out->dims, &f);
            break;
        case 2:
            out->dtype = oxp_wire_int(&r->w, &f);
            break;
        case 3:
            out->has_segment = true;
            break;
        case 8:
            out->name = oxp_wire_text(&r->w, &f);
            break;
        case 9:
            out->raw = oxp_wire_bytes(&r->w, &f);
            break;
        case 13:
            read_entry(r, &f, PUSH(r, out->external_data));
            break;
        case 14:
            out->is_external = oxp_wire_int(&r->w, &f) == 1;
            break;
        default:
            break;
        }
    }
}

static void read_tensor(const reader *outer, const oxp_wire_field *field, oxp_pb_tensor *out)
{
    reader r;
    if (!enter(outer, field, out, &r)) return;
    *out = (oxp_pb_tensor){.name = "", .body = field->bytes};
    read_tensor_fields(&r, out);
}

static void read_attr_tensor(const reader *r, const oxp_wire_field *f, oxp_pb_attr *out)
{
    if (out->t) {
        oxp_wire_fail(r->w.file, f->start, OXP_ECORRUPT, "an attribute has two tensors");
        return;
    }
    out->t = OXP_NEW(r->w.file->ctx->scratch, oxp_pb_tensor, 1);
    if (!out->t && r->w.file->status == OXP_OK)
        r->w.file->status = oxp_ctx_fail(r->w.file->ctx, OXP_ENOMEM, "out of memory");
    read_tensor(r, f, out->t);
}

static void read_graph(const reader *outer, const oxp_wire_field *field, oxp_pb_graph *out);

static void read_attr_graph(const reader *r, const oxp_wire_field *f, oxp_pb_attr *out)
{
    if (out->g) {
        oxp_wire_fail(r->w.file, f->start, OXP_ECORRUPT, "an attribute has two graphs");
        return;
    }
    out->g = OXP_NEW(r->w.file->ctx->scratch, oxp_pb_graph, 1);
    if (!out->g && r->w.file->status == OXP_OK)
        r->w.file->status = oxp_ctx_fail(r->w.file->ctx, OXP_ENOMEM, "out of memory");
    read_graph(r, f, out->g);
}

static void read_attr(const reader *outer, const oxp_wire_field *field, oxp_pb_attr *out)
{
    reader r;
    if (!enter(outer, field, out, &r)) return;
    *out = (oxp_pb_attr){.name = "", .ref = ""};
    for (oxp_wire_field f; oxp_wire_next(&r.w, &f);) {
        switch (f.number) {
        case 1:
            out->name = oxp_wire_text(&r.w, &f);
            break;
        case 2:
            out->f = oxp_wire_float(&r.w, &f);
            break;
        case 3:
            out->i = oxp_wire_int(&r.w, &f);
            break;
        case 4:
            out->s = oxp_wire_bytes(&r.w, &f);
            break;
        case 5:
            read_attr_tensor(&r, &f, out);
            break;
        case 6:
            read_attr_graph(&r, &f, out);
            break;
        case 7:
            add_floats(&r, &f, out);
            break;
        case 8:
            ADD_INTS(&r, out->ints, &f);
            break;
        case 9:
            add_bytes(&r, &f, out);
            break;
        case 20:
            out->type = oxp_wire_int(&r.w, &f);
            break;
        case 21:
            out->ref = oxp_wire_text(&r.w, &f);
            break;
        default:
            break;
        }
    }
}

static void read_node(const reader *outer, const oxp_wire_field *field, oxp_pb_node *out)
{
    reader r;
    if (!enter(outer, field, out, &r)) return;
    *out = (oxp_pb_node){.name = "", .op_type = "", .domain = ""};
    for (oxp_wire_field f; oxp_wire_next(&r.w, &f);) {
        switch (f.number) {
        case 1:
            add_text(&r, &f, &out->input);
            break;
        case 2:
            add_text(&r, &f, &out->output);
            break;
        case 3:
            out->name = oxp_wire_text(&r.w, &f);
            break;
        case 4:
            out->op_type = oxp_wire_text(&r.w, &f);
            break;
        case 5:
            read_attr(&r, &f, PUSH(&r, out->attribute));
            break;
        case 7:
            out->domain = oxp_pb_domain(oxp_wire_text(&r.w, &f));
            break;
        default:
            break;
        }
    }
}

static void read_dim(const reader *outer, const oxp_wire_field *field, oxp_pb_dim *out)
{
    reader r;
    if (!enter(outer, field, out, &r)) return;
    *out = (oxp_pb_dim){.param = ""};
    for (oxp_wire_field f; oxp_wire_next(&r.w, &f);) {
        if (f.number == 1) {
            out->has_value = true;
            out->value = oxp_wire_int(&r.w, &f);
        } else if (f.number == 2) {
            out->param = oxp_wire_text(&r.w, &f);
        }
    }
}

static void read_shape(const reader *outer, const oxp_wire_field *field, oxp_pb_value *out)
{
    reader r;
    if (!enter(outer, field, out, &r)) return;
    out->has_shape = true;
    for (oxp_wire_field f; oxp_wire_next(&r.w, &f);)
        if (f.number == 1) read_dim(&r, &f, PUSH(&r, out->dims));
}

/* TypeProto, and TypeProto.Tensor inside it. */
static void read_type(const reader *outer, const oxp_wire_field *field, oxp_pb_value *out)
{
    reader r, tensor;
    if (!enter(outer, field, out, &r)) return;
    for (oxp_wire_field f; oxp_wire_next(&r.w, &f);) {
        if (f.number == 6) continue; /* denotation */
        if (f.number != 1) {
            out->is_other = true;
            continue;
        }
        if (!enter(&r, &f, out, &tensor)) return;
        for (oxp_wire_field t; oxp_wire_next(&tensor.w, &t);) {
            if (t.number == 1) out->dtype = oxp_wire_int(&tensor.w, &t);
            if (t.number == 2) read_shape(&tensor, &t, out);
        }
    }
}

static void read_value(const reader *outer, const oxp_wire_field *field, oxp_pb_value *out)
{
    reader r;
    if (!enter(outer, field, out, &r)) return;
    *out = (oxp_pb_value){.name = ""};
    for (oxp_wire_field f; oxp_wire_next(&r.w, &f);) {
        if (f.number == 1) out->name = oxp_wire_text(&r.w, &f);
        if (f.number == 2) read_type(&r, &f, out);
    }
}

static void read_graph(const reader *outer, const oxp_wire_field *field, oxp_pb_graph *out)
{
    reader r;
    if (!enter(outer, field, out, &r)) return;
    for (oxp_wire_field f; oxp_wire_next(&r.w, &f);) {
        switch (f.number) {
        case 1:
            read_node(&r, &f, PUSH(&r, out->node));
            break;
        case 5:
            read_tensor(&r, &f, PUSH(&r, out->initializer));
            break;
        case 11:
            read_value(&r, &f, PUSH(&r, out->input));
            break;
        case 12:
            read_value(&r, &f, PUSH(&r, out->output));
            break;
        case 15:
            out->n_sparse++;
            break;
        default:
            break;
        }
    }
}

static void read_function(const reader *outer, const oxp_wire_field *field, oxp_pb_function *out)
{
    reader r;
    if (!enter(outer, field, out, &r)) return;
    *out = (oxp_pb_function){.name = "", .domain = ""};
    for (oxp_wire_field f; oxp_wire_next(&r.w, &f);) {
        switch (f.number) {
        case 1:
            out->name = oxp_wire_text(&r.w, &f);
            break;
        case 4:
            add_text(&r, &f, &out->input);
            break;
        case 5:
            add_text(&r, &f, &out->output);
            break;
        case 7:
            read_node(&r, &f, PUSH(&r, out->node));
            break;
        case 9:
            read_opset(&r, &f, PUSH(&r, out->opset_import));
            break;
        case 10:
            out->domain = oxp_pb_domain(oxp_wire_text(&r.w, &f));
            break;
        case 11:
            read_attr(&r, &f, PUSH(&r, out->defaults));
            break;
        default:
            break;
        }
    }
}

static void read_model(reader *r, oxp_pb_model *out)
{
    for (oxp_wire_field f; oxp_wire_next(&r->w, &f);) {
        switch (f.number) {
        case 1:
            out->ir_version = oxp_wire_int(&r->w, &f);
            break;
        case 2:
            out->producer_name = oxp_wire_text(&r->w, &f);
            break;
        case 3:
            out->producer_version = oxp_wire_text(&r->w, &f);
            break;
        case 7:
            out->has_graph = true;
            read_graph(r, &f, &out->graph);
            break;
        case 8:
            read_opset(r, &f, PUSH(r, out->opset_import));
            break;
        case 14:
            read_entry(r, &f, PUSH(r, out->metadata));
            break;
        case 25:
            read_function(r, &f, PUSH(r, out->function));
            break;
        default:
            break;
        }
    }
}

oxp_status oxp_pb_parse(oxp_ctx *ctx, oxp_bytes file, uint64_t max_bytes, oxp_pb_model *out)
{
    ctx->stage = OXP_STAGE_PARSE;
    ctx->offset = 0;
    OXP_FAIL_IF(ctx, file.size == 0, OXP_ECORRUPT, "the model file is empty");
    *out = (oxp_pb_model){.producer_name = "", .producer_version = ""};
    out->file = (oxp_wire_file){ctx, file, OXP_OK};
    out->records_left = max_bytes ? max_bytes : (uint64_t)1 << 30;
    reader r = {oxp_wire_open(&out->file, file), out};
    read_model(&r, out);
    OXP_TRY(out->file.status);
    OXP_FAIL_IF(ctx, !out->has_graph, OXP_ECORRUPT, "not an ONNX model: the file holds no graph");
    return OXP_OK;
}

oxp_status oxp_pb_parse_tensor(oxp_ctx *ctx, oxp_wire_file *file, oxp_pb_tensor *out)
{
    oxp_pb_model budget = {.records_left = (uint64_t)1 << 30};
    reader r = {oxp_wire_open(file, file->bytes), &budget};
    ctx->stage = OXP_STAGE_PARSE;
    *out = (oxp_pb_tensor){.name = "", .body = file->bytes};
    read_tensor_fields(&r, out);
    return file->status;
}

const char *oxp_pb_domain(const char *domain)
{
    return strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

int64_t oxp_pb_opset_of(const oxp_pb_opset *imports, size_t n, const char *domain)
{
    int64_t version = 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(oxp_pb_domain(imports[i].domain), domain) == 0 && imports[i].version > version)
            version = imports[i].version;
    return version;
}
