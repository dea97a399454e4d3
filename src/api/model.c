/* model.c - opening models, their inputs and outputs, class names, words, and the hash of the file. */
#include "api/api.h"

#include "base/sha256.h"
#include <stdio.h>
#include <string.h>

#define MAX_SIDECAR_BYTES ((size_t)64 << 20)

/* ---- opening ---- */

/* Names of what oxp_ask_tensor finds. */
static oxp_status list_names(oxp_ctx *ctx, oxp_model *m)
{
    const oxp_graph *g = m->onnx->graph;
    const char **names = OXP_NEW(m->arena, const char *, g->n_values + 1);
    OXP_NOMEM_IF(ctx, names);
    for (size_t i = 1; i < g->n_values; i++)
        if (oxp_ask_named(g->values[i])) names[m->n_names++] = g->values[i]->name;
    m->names = names;
    return OXP_OK;
}

static oxp_status make_net(oxp_ctx *ctx, oxp_model *m, const char *external_dir,
                           const oxp_model_options *options)
{
    ctx->stage = OXP_STAGE_PARSE;
    OXP_TRY(oxp_import(ctx, m->arena, m->file, external_dir, options->max_memory, &m->onnx));
    m->net = (oxp_net){.graph = m->onnx->graph,
                       .hooks = oxp_arena_hooks(m->arena),
                       .max_memory = options->max_memory};
    OXP_TRY(list_names(ctx, m));
    m->net.weights = oxp_weights_new(m->net.hooks);
    OXP_NOMEM_IF(ctx, m->net.weights);
    return oxp_weights_keep(ctx, m->net.weights, m->net.graph);
}

/* Puts the file's name in front of a message about its bytes. */
static oxp_status name_file(oxp_ctx *ctx, const char *path, oxp_status status)
{
    if (status == OXP_OK || status == OXP_ENOMEM || !ctx->error) return status;
    char message[sizeof ctx->error->message];
    memcpy(message, ctx->error->message, sizeof message);
    snprintf(ctx->error->message, sizeof message, "%.200s: %.800s", path, message);
    return status;
}

/* Reads bytes of a sidecar into the model. */
typedef oxp_status (*sidecar_fn)(oxp_ctx *ctx, oxp_model *m, oxp_bytes bytes, const char *path);

static oxp_status labels_of(oxp_ctx *ctx, oxp_model *m, oxp_bytes bytes, const char *path)
{
    bool found;
    return oxp_labels_parse(ctx, m->label_arena, bytes, path, &found, &m->labels);
}

static oxp_status words_of(oxp_ctx *ctx, oxp_model *m, oxp_bytes bytes, const char *path)
{
    bool found;
    return oxp_vocabulary_parse(ctx, m->word_arena, bytes, path, &found, &m->words);
}

/* What lies beside the model is a convenience: a config.json of another program is no reason to
 * refuse the model, but it is told in every result (*note). *there: the file exists. */
static oxp_status read_sidecar(oxp_ctx *ctx, oxp_model *m, const char *name, const char *what,
                               sidecar_fn read, bool *there, const char **note)
{
    oxp_bytes bytes;
    char *path = oxp_path_join(ctx->scratch, m->dir, name);
    OXP_NOMEM_IF(ctx, path);
    *there = oxp_file_exists(path);
    if (!*there) return OXP_OK;
    oxp_error why = {0}, *const outer = ctx->error;
    ctx->error = &why;
    oxp_status status = oxp_file_read(ctx, ctx->scratch, path, MAX_SIDECAR_BYTES, &bytes);
    if (status == OXP_OK) status = read(ctx, m, bytes, path);
    ctx->error = outer;
    if (status == OXP_OK) return OXP_OK;
    OXP_FAIL_IF(ctx, status == OXP_ENOMEM, OXP_ENOMEM, "out of memory");
    *note = oxp_arena_printf(m->arena, "%s were not read: %s", what, why.message);
    OXP_NOMEM_IF(ctx, *note);
    return OXP_OK;
}

static bool takes_tokens(const oxp_onnx_model *o)
{
    for (size_t i = 0; i < o->n_inputs; i++)
        if (oxp_dtype_is_int(o->inputs[i].dtype) && o->inputs[i].shape.rank <= 2) return true;
    return false;
}

static oxp_status read_sidecars(oxp_ctx *ctx, oxp_model *m)
{
    bool there;
    OXP_TRY(read_sidecar(ctx, m, "config.json", "class names", labels_of, &there, &m->label_note));
    if (m->label_note) m->labels = (oxp_labels){0, NULL};
    if (m->labels.count == 0)
        m->labels = (oxp_labels){m->onnx->n_class_names, m->onnx->class_names};
    if (!takes_tokens(m->onnx)) return OXP_OK;
    OXP_TRY(read_sidecar(ctx, m, "tokenizer.json", "the words", words_of, &there, &m->word_note));
    if (!there)
        OXP_TRY(read_sidecar(ctx, m, "vocab.txt", "the words", words_of, &there, &m->word_note));
    if (m->word_note) m->words = (oxp_vocabulary){0, NULL, NULL};
    return OXP_OK;
}

static oxp_status open_in(oxp_ctx *ctx, oxp_model *m, const char *path, const void *data,
                          size_t size, const oxp_model_options *options)
{
    OXP_FAIL_IF(ctx, pthread_mutex_init(&m->lock, NULL) != 0, OXP_ENOMEM, "out of memory");
    m->has_lock = true;
    m->log = ctx->log = options->log;
    m->log_user = ctx->log_user = options->log_user;
    m->label_arena = oxp_arena_new(ctx->hooks);
    m->word_arena = oxp_arena_new(ctx->hooks);
    OXP_FAIL_IF(ctx, !m->label_arena || !m->word_arena, OXP_ENOMEM, "out of memory");
    if (!path) {
        m->file = (oxp_bytes){data, size};
        return make_net(ctx, m, options->external_dir, options);
    }
    m->path = oxp_arena_strdup(m->arena, path);
    m->dir = oxp_path_dir(m->arena, path);
    OXP_FAIL_IF(ctx, !m->path || !m->dir, OXP_ENOMEM, "out of memory");
    const uint64_t most = options->max_memory && options->max_memory < OXP_API_MODEL_BYTES
                              ? options->max_memory
                              : OXP_API_MODEL_BYTES;
    OXP_TRY(oxp_file_read(ctx, m->arena, path, (size_t)most, &m->file));
    OXP_TRY(name_file(ctx, path, make_net(ctx, m, m->dir, options)));
    return read_sidecars(ctx, m);
}

static oxp_status open_any(oxp_model **out, const char *path, const void *data, size_t size,
                           const oxp_model_options *options, oxp_error *error)
{
    oxp_ctx ctx = {.error = error, .stage = OXP_STAGE_ARG};
    oxp_model_options o;
    OXP_TRY(OXP_API_OPTIONS(&ctx, oxp_model_options, external_dir, options, &o));
    OXP_TRY(oxp_api_begin(&ctx, o.allocator, error));
    oxp_arena *arena = NULL;
    void *made = NULL;
    oxp_status status = OXP_OK;
    if (!out || (!path && !data))
        status = oxp_ctx_fail(&ctx, OXP_EINVAL, "no model file was given (NULL)");
    if (status == OXP_OK) status = oxp_api_new(&ctx, sizeof(oxp_model), &arena, &made);
    oxp_model *m = made;
    if (m) {
        m->arena = arena;
        status = open_in(&ctx, m, path, data, size, &o);
    }
    if (status == OXP_OK)
        *out = m;
    else
        oxp_model_free(m);
    return oxp_api_end(&ctx, status);
}

oxp_status oxp_model_open(oxp_model **out, const char *path, const oxp_model_options *options,
                          oxp_error *error)
{
    return open_any(out, path, NULL, 0, options, error);
}

oxp_status oxp_model_open_memory(oxp_model **out, const void *data, size_t size,
                                 const oxp_model_options *options, oxp_error *error)
{
    return open_any(out, NULL, data, size, options, error);
}

void oxp_model_free(oxp_model *model)
{
    if (!model) return;
    oxp_weights_free(model->net.weights);
    oxp_arena_free(model->label_arena);
    oxp_arena_free(model->word_arena);
    if (model->has_lock) pthread_mutex_destroy(&model->lock);
    oxp_arena_free(model->arena);
}

/* ---- inputs, outputs ---- */

static oxp_array io_array(const oxp_onnx_io *io)
{
    oxp_array a = {.name = io->name, .dtype = io->dtype, .rank = io->shape.rank};
    for (int i = 0; i < a.rank; i++) a.dims[i] = io->shape.dim[i];
    return a;
}

size_t oxp_model_input_count(const oxp_model *model)
{
    return model ? model->onnx->n_inputs : 0;
}

size_t oxp_model_output_count(const oxp_model *model)
{
    return model ? model->onnx->n_outputs : 0;
}

oxp_array oxp_model_input(const oxp_model *model, size_t index)
{
    if (index >= oxp_model_input_count(model)) return (oxp_array){0};
    return io_array(&model->onnx->inputs[index]);
}

oxp_array oxp_model_output(const oxp_model *model, size_t index)
{
    if (index >= oxp_model_output_count(model)) return (oxp_array){0};
    return io_array(&model->onnx->outputs[index]);
}

static const char *axis_name(const oxp_onnx_io *io, int axis)
{
    if (axis < 0 || axis >= io->shape.rank || io->shape.dim[axis] != OXP_DIM_UNKNOWN) return NULL;
    const char *symbol = io->symbols[axis];
    return symbol && symbol[0] ? symbol : NULL;
}

const char *oxp_model_input_axis(const oxp_model *model, size_t index, int axis)
{
    if (index >= oxp_model_input_count(model)) return NULL;
    return axis_name(&model->onnx->inputs[index], axis);
}

const char *oxp_model_output_axis(const oxp_model *model, size_t index, int axis)
{
    if (index >= oxp_model_output_count(model)) return NULL;
    return axis_name(&model->onnx->outputs[index], axis);
}

/* ---- tensors ---- */

size_t oxp_model_tensor_count(const oxp_model *model)
{
    return model ? model->n_names : 0;
}

const char *oxp_model_tensor(const oxp_model *model, size_t index)
{
    return index < oxp_model_tensor_count(model) ? model->names[index] : NULL;
}

/* ---- class names ---- */

/* What was read into `fresh` takes the place of what the model held; where reading failed nothing
 * does. */
static oxp_status replace(oxp_arena **held, oxp_arena *fresh, const char **note, oxp_status status)
{
    oxp_arena_free(status == OXP_OK ? *held : fresh);
    if (status != OXP_OK) return status;
    *held = fresh;
    *note = NULL;
    return OXP_OK;
}

static oxp_status load_labels(oxp_ctx *ctx, oxp_model *m, const char *path)
{
    oxp_labels labels;
    if (!path) return OXP_OK; /* the sidecar was read when the model was opened */
    oxp_arena *arena = oxp_arena_new(ctx->hooks);
    OXP_NOMEM_IF(ctx, arena);
    ctx->stage = OXP_STAGE_MEDIA;
    const oxp_status status = oxp_labels_read(ctx, arena, path, &labels);
    OXP_TRY(replace(&m->label_arena, arena, &m->label_note, status));
    m->labels = labels;
    return OXP_OK;
}

oxp_status oxp_model_load_labels(oxp_model *model, const char *path, oxp_error *error)
{
    oxp_ctx ctx;
    OXP_TRY(oxp_api_begin_model(&ctx, model, error));
    return oxp_api_end(&ctx, load_labels(&ctx, model, path));
}

static oxp_status copy_labels(oxp_ctx *ctx, oxp_arena *arena, const char *const *labels, size_t n,
                              oxp_labels *out)
{
    const char **names = OXP_NEW(arena, const char *, n + 1);
    OXP_NOMEM_IF(ctx, names);
    for (size_t i = 0; i < n; i++) {
        names[i] = labels[i] ? oxp_arena_strdup(arena, labels[i]) : NULL;
        OXP_FAIL_IF(ctx, labels[i] && !names[i], OXP_ENOMEM, "out of memory");
    }
    *out = (oxp_labels){n, names};
    return OXP_OK;
}

static oxp_status set_labels(oxp_ctx *ctx, oxp_model *m, const char *const *labels, size_t n)
{
    oxp_labels copied;
    OXP_FAIL_IF(ctx, n > 0 && !labels, OXP_EINVAL, "the labels are missing (NULL)");
    oxp_arena *arena = oxp_arena_new(ctx->hooks);
    OXP_NOMEM_IF(ctx, arena);
    const oxp_status status = copy_labels(ctx, arena, labels, n, &copied);
    OXP_TRY(replace(&m->label_arena, arena, &m->label_note, status));
    m->labels = copied;
    return OXP_OK;
}

oxp_status oxp_model_set_labels(oxp_model *model, const char *const *labels, size_t n,
                                oxp_error *error)
{
    oxp_ctx ctx;
    OXP_TRY(oxp_api_begin_model(&ctx, model, error));
    return oxp_api_end(&ctx, set_labels(&ctx, model, labels, n));
}

size_t oxp_model_label_count(const oxp_model *model)
{
    return model ? model->labels.count : 0;
}

const char *oxp_model_label(const oxp_model *model, int64_t index)
{
    return model ? oxp_labels_get(&model->labels, index) : NULL;
}

/* ---- words ---- */

static oxp_status load_words(oxp_ctx *ctx, oxp_model *m, const char *path)
{
    oxp_vocabulary words;
    if (!path) return OXP_OK; /* the sidecar was read when the model was opened */
    oxp_arena *arena = oxp_arena_new(ctx->hooks);
    OXP_NOMEM_IF(ctx, arena);
    ctx->stage = OXP_STAGE_MEDIA;
    const oxp_status status = oxp_vocabulary_read(ctx, arena, path, &words);
    OXP_TRY(replace(&m->word_arena, arena, &m->word_note, status));
    m->words = words;
    return OXP_OK;
}

oxp_status oxp_model_load_vocabulary(oxp_model *model, const char *path, oxp_error *error)
{
    oxp_ctx ctx;
    OXP_TRY(oxp_api_begin_model(&ctx, model, error));
    return oxp_api_end(&ctx, load_words(&ctx, model, path));
}

const char *oxp_model_word(const oxp_model *model, int64_t id, int *starts)
{
    if (starts) *starts = 0;
    if (!model || id < 0 || (uint64_t)id >= model->words.count || !model->words.piece[id])
        return NULL;
    if (starts) *starts = model->words.starts[id];
    return model->words.piece[id];
}

/* ---- identity ---- */

const char *oxp_api_sha256(oxp_model *model)
{
    pthread_mutex_lock(&model->lock);
    if (!model->hashed) oxp_sha256_hex(model->file.data, model->file.size, model->sha256);
    model->hashed = true;
    pthread_mutex_unlock(&model->lock);
    return model->sha256;
}
