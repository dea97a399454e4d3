/* run.c - one test through the public interface: the model is opened as a user opens it, every data
 * set runs in the fused executor and in the plain one, and each output is compared.
 *
 * Integers and booleans must be equal. Floats keep ONNX's own bound for each element, and a
 * stricter one of ours relative to the largest element: both executors compute in float or better,
 * and the expected numbers are float themselves. */
#include "conformance/conformance.h"
#include "onnx/tensor_import.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* |got - want| <= ATOL + RTOL |want|: the rule of ONNX's backend tests; or one rounding of the
 * largest element, which float sums that should be zero leave behind */
#define RTOL 1e-3
#define ATOL 1e-7
/* two units in the last place: old data was cut off, not rounded, and newer data was rounded at
 * every node */
#define RTOL_BF16 0x1p-6
/* max |got - want| <= STRICT max |want|, where the numbers are float or double */
#define STRICT 1e-5

/* Tests whose own numbers are no better: windows are made with pi = 3.1415, and some expected numbers
 * have four digits. */
static const char *const loose[] = {"hannwindow", "hammingwindow", "blackmanwindow",
                                    "roialign_aligned", "ceil_last_window_starts_on_pad"};

/* Tests whose expected numbers contradict the text of the operator's definition, PyTorch and ONNX
 * Runtime: align_corners with in * scale, not a whole number, as the length. */
static const char *const disputed[] = {"test_resize_downsample_scales_linear_align_corners",
                                       "test_resize_downsample_scales_cubic_align_corners"};

enum { MAX_ARRAYS = 64 };

typedef struct one_run {
    oxp_ctx *ctx;
    suite *s;
    test_case *t;
    const oxp_pb_model *pb;
    oxp_model *model;
} one_run;

static oxp_status settle(one_run *r, verdict v, const char *why)
{
    for (size_t i = 0; v == FAILED && i < OXP_COUNT(disputed); i++)
        if (strcmp(r->t->name, disputed[i]) == 0) {
            r->t->scope = "contradicts the operator's definition, PyTorch and ONNX Runtime";
            v = OUT_OF_SCOPE;
        }
    if (r->t->verdict >= v && r->t->why) return OXP_OK;
    r->t->verdict = v;
    r->t->why = oxp_arena_strdup(r->s->arena, why);
    OXP_NOMEM_IF(r->ctx, r->t->why);
    return OXP_OK;
}

/* What the library answered, as a verdict. */
static oxp_status settle_error(one_run *r, oxp_status status, const oxp_error *error)
{
    const char *file = strstr(error->message, "model.onnx: ");
    const char *message = file ? strchr(file, ' ') + 1 : error->message;
    if (status == OXP_EUNSUPPORTED) return settle(r, r->t->scope ? OUT_OF_SCOPE : REFUSED, message);
    return settle(r, FAILED, message);
}

/* ---- comparing ---- */

static bool same_number(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a >= b && a <= b);
}

static double largest_of(const oxp_tensor *t)
{
    double largest = 0.0;
    for (int64_t i = 0; i < oxp_shape_elements(&t->shape); i++) {
        const double x = oxp_tensor_get(t, i);
        if (isfinite(x)) largest = fmax(largest, fabs(x));
    }
    return largest;
}

static oxp_status compare_elements(one_run *r, const char *label, const oxp_tensor *got,
                                   const oxp_tensor *want)
{
    const int64_t n = oxp_shape_elements(&want->shape);
    const bool exact = !oxp_dtype_is_float(want->dtype);
    bool strict = want->dtype == OXP_F32 || want->dtype == OXP_F64;
    for (size_t i = 0; i < OXP_COUNT(loose); i++)
        if (strstr(r->t->name, loose[i])) strict = false;
    const double rtol = want->dtype == OXP_BF16 ? RTOL_BF16 : RTOL;
    const double largest = largest_of(want);
    double worst = 0.0;
    int64_t worst_at = -1, bad_at = -1;
    for (int64_t i = 0; i < n; i++) {
        const double a = oxp_tensor_get(got, i), b = oxp_tensor_get(want, i);
        if (same_number(a, b)) continue;
        const double off = fabs(a - b);
        const bool good =
            !exact && (off <= ATOL + rtol * fabs(b) || off <= (double)FLT_EPSILON * largest);
        if (!good && bad_at < 0) bad_at = i;
        if (off > worst || worst_at < 0) {
            worst = off;
            worst_at = i;
        }
    }
    const double error = largest > 0.0 ? worst / largest : worst;
    if (!exact) r->t->error = fmax(r->t->error, error);
    if (bad_at < 0 && strict && error > STRICT) bad_at = worst_at;
    if (bad_at < 0) return OXP_OK;
    char text[300];
    snprintf(text, sizeof text, "%s: element %lld is %.9g, expected %.9g (error %.2g)", label,
             (long long)bad_at, oxp_tensor_get(got, bad_at), oxp_tensor_get(want, bad_at), error);
    return settle(r, FAILED, text);
}

static oxp_status convert(one_run *r, oxp_tensor *t, oxp_dtype to)
{
    oxp_tensor made;
    OXP_TRY(oxp_tensor_new(r->ctx, r->ctx->scratch, to, &t->shape, &made));
    oxp_convert((void *)(uintptr_t)made.data, to, t->data, t->dtype, oxp_shape_elements(&t->shape));
    *t = made;
    return OXP_OK;
}

/* Floats that were computed wider than the output is written are rounded as they would be; and the
 * float executor cannot give numbers that only a double holds. */
static oxp_status to_one_type(one_run *r, oxp_tensor *got, oxp_tensor *want)
{
    if (!oxp_dtype_is_float(got->dtype) || !oxp_dtype_is_float(want->dtype)) return OXP_OK;
    if (want->dtype == OXP_F64 && got->dtype == OXP_F32) return convert(r, want, OXP_F32);
    return convert(r, got, want->dtype);
}

static oxp_status compare(one_run *r, const char *label, const oxp_array *array, oxp_tensor *want)
{
    oxp_tensor got = {array->dtype, oxp_shape_of(array->rank, array->dims), array->data};
    char text[2 * OXP_SHAPE_TEXT + 200], a[OXP_SHAPE_TEXT], b[OXP_SHAPE_TEXT];
    OXP_TRY(to_one_type(r, &got, want));
    if (!oxp_shape_equal(&got.shape, &want->shape) || got.dtype != want->dtype) {
        snprintf(text, sizeof text, "%s is %s%s, expected %s%s", label, oxp_dtype_name(got.dtype),
                 oxp_shape_text(&got.shape, a), oxp_dtype_name(want->dtype),
                 oxp_shape_text(&want->shape, b));
        return settle(r, FAILED, text);
    }
    return compare_elements(r, label, &got, want);
}

/* ---- running ---- */

/* `type`: what the model declares. Old data keeps bfloat16 as its bits in uint16. */
static oxp_status read_data(one_run *r, int set, const char *kind, size_t i, int64_t type,
                            bool *found, oxp_tensor *out)
{
    const char *path = oxp_arena_printf(r->ctx->scratch, "%s/test_data_set_%d/%s_%zu.pb",
                                        r->t->folder, set, kind, i);
    OXP_NOMEM_IF(r->ctx, path);
    OXP_TRY(suite_tensor(r->ctx, r->ctx->scratch, path, found, out));
    if (*found && type == OXP_BF16 && out->dtype == OXP_U16) out->dtype = OXP_BF16;
    return OXP_OK;
}

static oxp_status read_feeds(one_run *r, int set, oxp_array *feeds, size_t *n)
{
    const oxp_pb_graph *g = &r->pb->graph;
    for (size_t i = 0; i < g->input.n && *n < MAX_ARRAYS; i++) {
        bool found;
        oxp_tensor t;
        OXP_TRY(read_data(r, set, "input", i, g->input.items[i].dtype, &found, &t));
        if (!found) continue;
        oxp_array *a = &feeds[(*n)++];
        *a = (oxp_array){g->input.items[i].name, t.dtype, t.shape.rank, {0}, t.data};
        memcpy(a->dims, t.shape.dim, sizeof a->dims);
    }
    return OXP_OK;
}

static oxp_status compare_outputs(one_run *r, int set, const char *precision,
                                  const oxp_values *values)
{
    for (size_t i = 0; i < oxp_values_count(values); i++) {
        bool found;
        oxp_tensor want;
        const oxp_array got = oxp_values_get(values, i);
        OXP_TRY(read_data(r, set, "output", i, r->pb->graph.output.items[i].dtype, &found, &want));
        if (!found) continue;
        char label[160];
        snprintf(label, sizeof label, "%s of data set %d in %s", got.name, set, precision);
        OXP_TRY(compare(r, label, &got, &want));
    }
    return OXP_OK;
}

static oxp_status run_set(one_run *r, int set)
{
    static const char *const precisions[] = {"f32", "f64"};
    oxp_array feeds[MAX_ARRAYS];
    size_t n = 0;
    OXP_TRY(read_feeds(r, set, feeds, &n));
    for (size_t k = 0; k < OXP_COUNT(precisions); k++) {
        oxp_run_options options = OXP_RUN_OPTIONS_INIT;
        oxp_error error = {0};
        oxp_values *values = NULL;
        options.threads = 1;
        options.precision = precisions[k];
        const oxp_status status = oxp_run(&values, r->model, feeds, n, NULL, 0, &options, &error);
        const oxp_status told = status == OXP_OK ? compare_outputs(r, set, precisions[k], values)
                                                 : settle_error(r, status, &error);
        oxp_values_free(values);
        OXP_TRY(told);
    }
    return OXP_OK;
}

static oxp_status run_sets(one_run *r)
{
    const char *path = oxp_path_join(r->ctx->scratch, r->t->folder, "model.onnx");
    OXP_NOMEM_IF(r->ctx, path);
    oxp_error error = {0};
    const oxp_status status = oxp_model_open(&r->model, path, NULL, &error);
    if (status != OXP_OK) return settle_error(r, status, &error);
    for (int set = 0;; set++) {
        const char *first =
            oxp_arena_printf(r->ctx->scratch, "%s/test_data_set_%d/output_0.pb", r->t->folder, set);
        OXP_NOMEM_IF(r->ctx, first);
        if (!oxp_file_exists(first)) break;
        OXP_TRY(run_set(r, set));
    }
    return OXP_OK;
}

oxp_status run_test(suite *s, test_case *t)
{
    oxp_error error = {0};
    oxp_pb_model pb = {0};
    oxp_ctx ctx = {.error = &error, .scratch = oxp_arena_new(NULL)};
    if (!ctx.scratch) return OXP_ENOMEM;
    one_run r = {.ctx = &ctx, .s = s, .t = t, .pb = &pb};
    t->verdict = PASSED;
    oxp_status status = suite_survey(&ctx, s, t, &pb);
    if (status == OXP_OK) status = run_sets(&r);
    oxp_model_free(r.model);
    if (status != OXP_OK) /* the test itself cannot be read: strings in its data, for example */
        status = settle(&r, t->scope ? OUT_OF_SCOPE : FAILED, error.message);
    oxp_arena_free(ctx.scratch);
    return status;
}
