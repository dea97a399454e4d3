/* call.c - the frame of a call, and the small handles: texts, blobs, versions, files. */
#include "api/api.h"

#include <string.h>

#define MAX_OPTIONS ((size_t)4096) /* bytes; a struct_size beyond that was never set */
#define STRING_(x)  #x
#define STRING(x)   STRING_(x)

oxp_status oxp_api_begin(oxp_ctx *ctx, const oxp_allocator *hooks, oxp_error *error)
{
    *ctx = (oxp_ctx){.error = error, .hooks = hooks, .stage = OXP_STAGE_ARG};
    ctx->scratch = oxp_arena_new(hooks);
    OXP_NOMEM_IF(ctx, ctx->scratch);
    return OXP_OK;
}

oxp_status oxp_api_begin_model(oxp_ctx *ctx, const oxp_model *model, oxp_error *error)
{
    *ctx = (oxp_ctx){.error = error, .stage = OXP_STAGE_ARG};
    OXP_FAIL_IF(ctx, !model, OXP_EINVAL, "no model was given (NULL)");
    OXP_TRY(oxp_api_begin(ctx, model->net.hooks, error));
    ctx->log = model->log;
    ctx->log_user = model->log_user;
    return OXP_OK;
}

oxp_status oxp_api_end(oxp_ctx *ctx, oxp_status status)
{
    oxp_arena_free(ctx->scratch);
    return status;
}

oxp_status oxp_api_new(oxp_ctx *ctx, size_t size, oxp_arena **arena, void **out)
{
    oxp_arena *a = oxp_arena_new(ctx->hooks);
    void *object = a ? oxp_arena_zalloc(a, 1, size) : NULL;
    if (!object) {
        oxp_arena_free(a);
        OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
    }
    *arena = a;
    *out = object;
    return OXP_OK;
}

oxp_status oxp_api_options(oxp_ctx *ctx, const char *what, const void *given, size_t least,
                           size_t size, void *out)
{
    size_t n = size;
    memset(out, 0, size);
    if (given) memcpy(&n, given, sizeof n);
    OXP_FAIL_IF(ctx, n < least || n > MAX_OPTIONS, OXP_EINVAL,
                "%s.struct_size is %zu, expected %zu: initialise the struct with its ..._INIT",
                what, n, size);
    for (size_t i = size; i < n; i++)
        OXP_FAIL_IF(ctx, ((const unsigned char *)given)[i] != 0, OXP_EINVAL,
                    "%s sets a field that onnxplain %s does not know: leave it zero, or install "
                    "the version that "
                    "the program was built for",
                    what, oxp_version());
    if (given) memcpy(out, given, n < size ? n : size);
    return OXP_OK;
}

oxp_array oxp_api_array(const char *name, const oxp_tensor *t)
{
    oxp_array a = {.name = name, .dtype = t->dtype, .rank = t->shape.rank, .data = t->data};
    for (int i = 0; i < t->shape.rank; i++) a.dims[i] = t->shape.dim[i];
    return a;
}

/* ---- texts and blobs ---- */

oxp_status oxp_api_text(oxp_ctx *ctx, oxp_arena *arena, const oxp_strbuf *sb, oxp_text **out)
{
    oxp_text *text = OXP_NEW(arena, oxp_text, 1);
    const char *str = oxp_strbuf_str(sb);
    if (!text || !str) {
        oxp_arena_free(arena);
        OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
    }
    *text = (oxp_text){arena, str};
    *out = text;
    return OXP_OK;
}

const char *oxp_text_str(const oxp_text *text)
{
    return text ? text->str : "";
}

void oxp_text_free(oxp_text *text)
{
    if (text) oxp_arena_free(text->arena);
}

const void *oxp_blob_data(const oxp_blob *blob)
{
    return blob ? blob->bytes.data : NULL;
}

size_t oxp_blob_size(const oxp_blob *blob)
{
    return blob ? blob->bytes.size : 0;
}

void oxp_blob_free(oxp_blob *blob)
{
    if (blob) oxp_arena_free(blob->arena);
}

oxp_status oxp_write_file(const char *path, const void *data, size_t size, oxp_error *error)
{
    oxp_ctx ctx;
    OXP_TRY(oxp_api_begin(&ctx, NULL, error));
    if (!path || (!data && size))
        return oxp_api_end(&ctx, oxp_ctx_fail(&ctx, OXP_EINVAL, "no path or no data was given"));
    return oxp_api_end(&ctx, oxp_file_write(&ctx, path, data, size));
}

/* ---- versions and names ---- */

const char *oxp_version(void)
{
    return STRING(OXP_VERSION_MAJOR) "." STRING(OXP_VERSION_MINOR) "." STRING(OXP_VERSION_PATCH);
}

const char *oxp_status_name(oxp_status status)
{
    switch (status) {
    case OXP_OK:
        return "ok";
    case OXP_EINVAL:
        return "invalid argument";
    case OXP_EUNSUPPORTED:
        return "unsupported";
    case OXP_ECORRUPT:
        return "corrupt data";
    case OXP_ELIMIT:
        return "limit exceeded";
    case OXP_ENOMEM:
        return "out of memory";
    case OXP_EIO:
        return "input/output error";
    case OXP_ECANCELLED:
        return "cancelled";
    case OXP_EINTERNAL:
        return "internal error";
    }
    return "unknown status";
}

const char *oxp_stage_name(oxp_stage stage)
{
    static const char *const names[] = {"arguments", "parse",    "import", "infer",
                                        "gradient",  "optimise", "plan",   "compile",
                                        "run",       "media",    "render"};
    return (size_t)stage < OXP_COUNT(names) ? names[stage] : "unknown stage";
}
