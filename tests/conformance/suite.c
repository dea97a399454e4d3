/* suite.c - see conformance.h. */
#include "conformance/conformance.h"
#include "onnx/tensor_import.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const test_case *)a)->name, ((const test_case *)b)->name);
}

static oxp_status add_test(oxp_ctx *ctx, suite *s, const char *which, const char *parent,
                           const char *name)
{
    test_case t = {.suite = which, .name = oxp_arena_strdup(s->arena, name)};
    t.folder = oxp_path_join(s->arena, parent, name);
    OXP_FAIL_IF(ctx,
                !t.name || !t.folder ||
                    !oxp_arena_grow(s->arena, &s->tests, s->n, &s->cap, sizeof *s->tests),
                OXP_ENOMEM, "out of memory");
    const char *model = oxp_path_join(s->arena, t.folder, "model.onnx");
    OXP_NOMEM_IF(ctx, model);
    if (oxp_file_exists(model)) s->tests[s->n++] = t;
    return OXP_OK;
}

oxp_status suite_find(oxp_ctx *ctx, const char *data, const char *const *suites, size_t n_suites,
                      suite *out)
{
    for (size_t i = 0; i < n_suites; i++) {
        const size_t first = out->n;
        const char *parent = oxp_path_join(out->arena, data, suites[i]);
        OXP_NOMEM_IF(ctx, parent);
        DIR *dir = opendir(parent);
        if (!dir) continue;
        oxp_status status = OXP_OK;
        for (const struct dirent *e; status == OXP_OK && (e = readdir(dir)) != NULL;)
            if (e->d_name[0] != '.') status = add_test(ctx, out, suites[i], parent, e->d_name);
        closedir(dir);
        OXP_TRY(status);
        qsort(out->tests + first, out->n - first, sizeof *out->tests, by_name);
    }
    return OXP_OK;
}

/* ---- what a test needs ---- */

/* What may be refused: an operator, and the group that it stands for in docs/operators.md. */
static const struct {
    const char *op, *scope;
} may_lack[] = {
    {"RandomNormal", "random numbers"},
    {"RandomNormalLike", "random numbers"},
    {"RandomUniform", "random numbers"},
    {"RandomUniformLike", "random numbers"},
    {"Multinomial", "random numbers"},
    {"Bernoulli", "random numbers"},
    {"ai.onnx.preview.training::Gradient", "training"},
    {"ai.onnx.preview.training::Adagrad", "training"},
    {"ai.onnx.preview.training::Adam", "training"},
    {"ai.onnx.preview.training::Momentum", "training"},
    {"StringNormalizer", "strings"},
    {"StringConcat", "strings"},
    {"StringSplit", "strings"},
    {"RegexFullMatch", "strings"},
    {"SequenceAt", "sequences"},
    {"SequenceConstruct", "sequences"},
    {"SequenceEmpty", "sequences"},
    {"SequenceErase", "sequences"},
    {"SequenceInsert", "sequences"},
    {"SequenceLength", "sequences"},
    {"SequenceMap", "sequences"},
    {"SplitToSequence", "sequences"},
    {"ConcatFromSequence", "sequences"},
    {"Optional", "optionals"},
    {"OptionalGetElement", "optionals"},
    {"OptionalHasElement", "optionals"},
    {"ImageDecoder", "file formats"},
    {"TfIdfVectorizer", "TfIdfVectorizer"},
    {"Det", "Det"},
    {"DeformConv", "DeformConv"},
};

static const char *scope_of_node(const oxp_pb_node *node, const char *op)
{
    for (size_t i = 0; i < OXP_COUNT(may_lack); i++)
        if (strcmp(may_lack[i].op, op) == 0) return may_lack[i].scope;
    for (size_t i = 0; i < node->attribute.n; i++)
        if (strcmp(node->attribute.items[i].name, "training_mode") == 0 &&
            node->attribute.items[i].i != 0 && strcmp(op, "BatchNormalization") != 0)
            return "training";
    /* Dropout (data, ratio, training_mode): what an opset from 12 calls training */
    return strcmp(op, "Dropout") == 0 && node->input.n > 2 ? "training" : NULL;
}

static const char *scope_of_value(const oxp_pb_value *v)
{
    if (v->is_other) return "sequences, optionals and maps";
    return v->dtype == 8 ? "strings" : v->dtype == 14 || v->dtype == 15 ? "complex numbers" : NULL;
}

oxp_status suite_survey(oxp_ctx *ctx, suite *s, test_case *t, oxp_pb_model *model)
{
    oxp_bytes file;
    const char *path = oxp_path_join(ctx->scratch, t->folder, "model.onnx");
    OXP_NOMEM_IF(ctx, path);
    OXP_TRY(oxp_file_read(ctx, ctx->scratch, path, 0, &file));
    OXP_TRY(oxp_pb_parse(ctx, file, 0, model));
    const oxp_pb_graph *g = &model->graph;
    t->ops = OXP_NEW(s->arena, const char *, g->node.n);
    OXP_NOMEM_IF(ctx, t->ops);
    for (size_t i = 0; i < g->node.n; i++) {
        const oxp_pb_node *node = &g->node.items[i];
        const char *op = node->domain[0] == '\0'
                             ? oxp_arena_strdup(s->arena, node->op_type)
                             : oxp_arena_printf(s->arena, "%s::%s", node->domain, node->op_type);
        OXP_NOMEM_IF(ctx, op);
        bool known = false;
        for (size_t k = 0; k < t->n_ops; k++) known = known || strcmp(t->ops[k], op) == 0;
        if (!known) t->ops[t->n_ops++] = op;
        if (!t->scope) t->scope = scope_of_node(node, op);
    }
    for (size_t i = 0; i < g->input.n + g->output.n; i++) {
        const oxp_pb_value *v =
            i < g->input.n ? &g->input.items[i] : &g->output.items[i - g->input.n];
        if (!t->scope) t->scope = scope_of_value(v);
    }
    return OXP_OK;
}

/* ---- tensors ---- */

oxp_status suite_tensor(oxp_ctx *ctx, oxp_arena *arena, const char *path, bool *found,
                        oxp_tensor *out)
{
    oxp_bytes bytes;
    *found = oxp_file_exists(path);
    if (!*found) return OXP_OK;
    OXP_TRY(oxp_file_read(ctx, arena, path, 0, &bytes));
    oxp_wire_file file = {ctx, bytes, OXP_OK};
    oxp_pb_tensor pb;
    OXP_TRY(oxp_pb_parse_tensor(ctx, &file, &pb));
    oxp_tensor_source source = {arena, &file, NULL, UINT64_MAX};
    return oxp_tensor_import(ctx, &source, &pb, out);
}
