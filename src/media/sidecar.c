/* sidecar.c - checked reading of sidecar files; see sidecar.h. jansson bounds nesting (2048) by
 * itself; the callers bound the file's size. */
#include "media/sidecar.h"

static void release(void *value)
{
    json_decref(value);
}

oxp_status oxp_sidecar_parse(oxp_ctx *ctx, oxp_bytes bytes, const char *what, oxp_sidecar *out)
{
    json_error_t error;
    json_t *root = json_loadb((const char *)bytes.data, bytes.size, 0, &error);
    OXP_FAIL_IF(ctx, !root && json_error_code(&error) == json_error_out_of_memory, OXP_ENOMEM,
                "out of memory");
    OXP_FAIL_IF(ctx, !root, OXP_ECORRUPT, "%s is not valid JSON: line %d, column %d: %s", what,
                error.line, error.column, error.text);
    if (!oxp_arena_defer(ctx->scratch, release, root)) OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
    OXP_FAIL_IF(ctx, !json_is_object(root), OXP_ECORRUPT, "%s: expected a JSON object at the top",
                what);
    *out = (oxp_sidecar){ctx, what, root};
    return OXP_OK;
}

const json_t *oxp_sidecar_get(const oxp_sidecar *json, const char *key)
{
    const json_t *value = json_object_get(json->object, key);
    return json_is_null(value) ? NULL : value;
}

oxp_status oxp_sidecar_bool(const oxp_sidecar *json, const char *key, bool *out)
{
    const json_t *value = oxp_sidecar_get(json, key);
    if (!value) return OXP_OK;
    OXP_FAIL_IF(json->ctx, !json_is_boolean(value), OXP_ECORRUPT,
                "%s: \"%s\": expected true or false", json->what, key);
    *out = json_is_true(value);
    return OXP_OK;
}

oxp_status oxp_sidecar_double(const oxp_sidecar *json, const char *key, double lo, double hi,
                              double *out)
{
    const json_t *value = oxp_sidecar_get(json, key);
    if (!value) return OXP_OK;
    OXP_FAIL_IF(json->ctx, !json_is_number(value), OXP_ECORRUPT, "%s: \"%s\": expected a number",
                json->what, key);
    const double number = json_number_value(value);
    OXP_FAIL_IF(json->ctx, !(number >= lo && number <= hi), OXP_ECORRUPT,
                "%s: \"%s\": expected a number from %g to %g, found %g", json->what, key, lo, hi,
                number);
    *out = number;
    return OXP_OK;
}

oxp_status oxp_sidecar_int(const oxp_sidecar *json, const char *key, int32_t lo, int32_t hi,
                           int32_t *out)
{
    double number = *out;
    OXP_TRY(oxp_sidecar_double(json, key, lo, hi, &number));
    OXP_FAIL_IF(json->ctx, number != (double)(int32_t)number, OXP_ECORRUPT,
                "%s: \"%s\": expected a whole number, found %g", json->what, key, number);
    *out = (int32_t)number;
    return OXP_OK;
}

oxp_status oxp_sidecar_text(const oxp_sidecar *json, const char *key, const char **out)
{
    const json_t *value = oxp_sidecar_get(json, key);
    if (!value) return OXP_OK;
    OXP_FAIL_IF(json->ctx, !json_is_string(value), OXP_ECORRUPT, "%s: \"%s\": expected a text",
                json->what, key);
    *out = json_string_value(value);
    return OXP_OK;
}
