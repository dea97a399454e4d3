/* baseline.c - where paths start; see path.h.
 *
 * A baseline lives in the tensor that is attributed to, or (baseline-at=input) in the model's inputs:
 * then an inner tensor starts at what it is for that input. What is black or white depends on how
 * the picture was made ready, which this room does not know: such baselines are handed over as
 * arrays (oxp_reference). */
#include "explain/path.h"

#include "base/parse.h"
#include "signal/blur.h"
#include <math.h>
#include <string.h>

enum { DRAW_REFERENCE = 3 }; /* a stream of the seed: expected.c has others */

static const char *const kinds[] = {"zero", "min", "max", "mean", "blur", "random"};

/* The k-th number of "a,b,c"; *n: how many there are. False: not numbers. */
static bool number_in(const char *text, size_t k, double *value, size_t *n)
{
    char item[64];
    for (*n = 0;; (*n)++) {
        const size_t length = strcspn(text, ",");
        double number;
        if (length == 0 || length >= sizeof item) return false;
        memcpy(item, text, length);
        item[length] = '\0';
        if (!oxp_parse_double(item, &number)) return false;
        if (*n == k) *value = number;
        if (text[length] == '\0') break;
        text += length + 1;
    }
    (*n)++;
    return true;
}

static bool is_kind(const char *text)
{
    double value;
    size_t n;
    for (size_t i = 0; i < OXP_COUNT(kinds); i++)
        if (strcmp(text, kinds[i]) == 0) return true;
    return number_in(text, 0, &value, &n);
}

oxp_status oxp_baseline_check(oxp_ctx *ctx, const oxp_params *p)
{
    const char *text = oxp_param_text(p, "baseline");
    if (is_kind(text)) return OXP_OK;
    OXP_FAIL_IF(
        ctx, p->n_references == 0, OXP_EINVAL,
        "%s: baseline must be zero, min, max, mean, blur, random, a number or numbers per "
        "channel like 0.1,0.2,0.3 (in the command also black, white, grey for pictures, and "
        "files), found '%s'",
        p->method->info.name, text);
    /* a list of arrays: another kind among them would be passed over */
    for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        const char *word = oxp_arena_strndup(ctx->scratch, at, strcspn(at, ","));
        OXP_NOMEM_IF(ctx, word);
        OXP_FAIL_IF(ctx, is_kind(word), OXP_EINVAL,
                    "%s: baseline is one kind, or arrays only: '%s' cannot stand beside arrays",
                    p->method->info.name, word);
    }
    return OXP_OK;
}

/* ---- arrays handed over ---- */

/* Rows of this shape in an array; 0: another shape. */
static size_t rows_of(const oxp_shape *have, const oxp_shape *row)
{
    if (oxp_shape_equal(have, row)) return 1;
    if (have->rank != row->rank + 1) return 0;
    const oxp_shape rest = oxp_shape_of(row->rank, have->dim + 1);
    return oxp_shape_equal(&rest, row) ? (size_t)have->dim[0] : 0;
}

static bool is_of(const oxp_reference *r, const char *tensor)
{
    return tensor && strcmp(r->tensor, tensor) == 0;
}

oxp_status oxp_reference_count(oxp_ctx *ctx, const oxp_params *p, const char *tensor,
                               const oxp_shape *row, size_t *n)
{
    char found[OXP_SHAPE_TEXT], expected[OXP_SHAPE_TEXT];
    *n = 0;
    for (size_t i = 0; i < p->n_references; i++) {
        if (!is_of(&p->references[i], tensor)) continue;
        const oxp_shape *have = &p->references[i].data.shape;
        const size_t rows = rows_of(have, row);
        OXP_FAIL_IF(ctx, rows == 0, OXP_EINVAL,
                    "%s: the baseline for '%s' has shape %s, expected %s", p->method->info.name,
                    tensor, oxp_shape_text(have, found), oxp_shape_text(row, expected));
        *n += rows;
    }
    OXP_FAIL_IF(ctx, *n == 0, OXP_EINVAL, "%s: no baseline was handed over for '%s'",
                p->method->info.name, tensor ? tensor : "?");
    return OXP_OK;
}

void oxp_reference_read(const oxp_params *p, const char *tensor, const oxp_shape *row, size_t which,
                        double *to)
{
    const int64_t n = oxp_shape_elements(row);
    for (size_t i = 0; i < p->n_references; i++) {
        const oxp_tensor *t = &p->references[i].data;
        if (!is_of(&p->references[i], tensor)) continue;
        const size_t rows = rows_of(&t->shape, row),
                     offset = which * (size_t)n * oxp_dtype_size(t->dtype);
        if (which < rows) oxp_convert(to, OXP_F64, (const char *)t->data + offset, t->dtype, n);
        if (which < rows) return;
        which -= rows;
    }
}

/* Several baselines are drawn from by methods with samples; the others take one. */
static oxp_status reference(oxp_drive *d, size_t f, size_t item, uint32_t sample, double *to)
{
    size_t n, which = 0;
    const oxp_method *m = oxp_param_owner(d->params, "baseline");
    OXP_TRY(oxp_reference_count(d->ctx, d->params, d->feed_name[f], &d->row_shape[f], &n));
    OXP_FAIL_IF(d->ctx, n > 1 && !oxp_param_known(&(oxp_params){.method = m}, "samples"),
                OXP_EINVAL,
                "%s takes one baseline, found %zu: expected-gradients, gradient-shap and "
                "deeplift-shap take several",
                m->info.name, n);
    if (n > 1) {
        const uint64_t seed = (uint64_t)oxp_param_int(d->params, "seed");
        const oxp_rng rng = {seed ^ ((uint64_t)DRAW_REFERENCE << 56), d->item_base + (uint32_t)item,
                             sample};
        which = (size_t)(oxp_rng_uniform(&rng, 0) * (double)n);
    }
    oxp_reference_read(d->params, d->feed_name[f], &d->row_shape[f], which, to);
    return OXP_OK;
}

oxp_status oxp_baseline_new(oxp_drive *d, double ***x0)
{
    *x0 = OXP_NEW(d->ctx->scratch, double *, d->n_feeds + 1);
    OXP_NOMEM_IF(d->ctx, *x0);
    for (size_t f = 0; f < d->n_feeds; f++) {
        (*x0)[f] = OXP_NEW(d->ctx->scratch, double, d->count[f] + 1);
        OXP_NOMEM_IF(d->ctx, (*x0)[f]);
    }
    return OXP_OK;
}

/* A row seen as (outer, channels, inner). */
typedef struct row_view {
    size_t outer, channels, inner;
} row_view;

static row_view view_of(const oxp_drive *d, size_t f)
{
    const oxp_shape *row = &d->row_shape[f];
    const int channel = d->feed_roles[f].channel - 1;
    row_view v = {1, 1, 1};
    for (int a = 0; a < row->rank; a++)
        *(a < channel ? &v.outer : a > channel ? &v.inner : &v.channels) *= (size_t)row->dim[a];
    if (channel < 0) v = (row_view){1, 1, (size_t)d->count[f]};
    return v;
}

static void mean_of_channels(const row_view *v, const double *x, double *to)
{
    for (size_t c = 0; c < v->channels; c++) {
        double sum = 0.0;
        for (size_t o = 0; o < v->outer; o++)
            for (size_t i = 0; i < v->inner; i++) sum += x[(o * v->channels + c) * v->inner + i];
        sum /= (double)(v->outer * v->inner);
        for (size_t o = 0; o < v->outer; o++)
            for (size_t i = 0; i < v->inner; i++) to[(o * v->channels + c) * v->inner + i] = sum;
    }
}

static oxp_status numbers(oxp_drive *d, const char *text, size_t f, const row_view *v, double *to)
{
    double value = 0.0;
    size_t n = 0;
    number_in(text, 0, &value, &n);
    const bool each = n > 1 && v->channels == 1 && n == (size_t)d->count[f];
    OXP_FAIL_IF(d->ctx, n != 1 && n != v->channels && !each, OXP_EINVAL,
                "%s: baseline has %zu numbers, expected one or one per channel (%zu)",
                d->params->method->info.name, n, v->channels);
    for (size_t i = 0; i < (size_t)d->count[f]; i++) {
        if (n > 1) number_in(text, each ? i : i / v->inner % v->channels, &value, &n);
        to[i] = value;
    }
    return OXP_OK;
}

static oxp_status blurred(oxp_drive *d, size_t f, const double *x, double *to)
{
    const oxp_roles *roles = &d->feed_roles[f];
    double sigma[OXP_MAX_RANK] = {0};
    const double given = oxp_param_number(d->params, "sigma");
    for (int a = 0; a < roles->n_spatial; a++) sigma[roles->spatial[a] - 1] = given;
    if (roles->n_spatial == 0 && d->row_shape[f].rank > 0) sigma[0] = given;
    return oxp_blur_gaussian_f64(d->ctx, x, d->row_shape[f].rank, d->row_shape[f].dim, sigma, 4.0,
                                 OXP_BORDER_REFLECT, to);
}

static oxp_status fill_feed(oxp_drive *d, const char *kind, size_t f, size_t item, uint32_t sample,
                            double *to)
{
    const size_t n = (size_t)d->count[f];
    const double *x = d->feed[f] + item * n;
    const row_view v = view_of(d, f);
    if (n == 0) return OXP_OK;
    if (!is_kind(kind)) return reference(d, f, item, sample, to);
    double lo = x[0], hi = x[0];
    for (size_t i = 1; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    if (strcmp(kind, "mean") == 0) {
        mean_of_channels(&v, x, to);
    } else if (strcmp(kind, "blur") == 0) {
        return blurred(d, f, x, to);
    } else if (strcmp(kind, "random") == 0) {
        const oxp_rng rng = {(uint64_t)oxp_param_int(d->params, "seed"),
                             d->item_base + (uint32_t)item, sample};
        for (size_t i = 0; i < n; i++)
            to[i] = lo + (hi - lo) * oxp_rng_uniform(&rng, ((uint64_t)f << 40) | i);
    } else if (strcmp(kind, "zero") == 0 || strcmp(kind, "min") == 0 || strcmp(kind, "max") == 0) {
        const double value = kind[0] == 'z' ? 0.0 : kind[1] == 'i' ? lo : hi;
        for (size_t i = 0; i < n; i++) to[i] = value;
    } else {
        return numbers(d, kind, f, &v, to);
    }
    return OXP_OK;
}

/* x0 of the inputs, then of inner tensors what they are for these inputs. */
static oxp_status fill_from_inputs(oxp_drive *d, const char *kind, size_t item, uint32_t sample,
                                   double *const *x0)
{
    bool any = false;
    for (size_t f = 0; f < d->n_inputs; f++) {
        const size_t n = (size_t)d->count[f];
        memcpy(x0[f], d->feed[f] + item * n, n * sizeof(double));
        if (!d->starts[f]) continue;
        any = true;
        OXP_TRY(fill_feed(d, kind, f, item, sample, x0[f]));
        for (size_t i = 0; d->whole[f] && i < n; i++)
            OXP_FAIL_IF(d->ctx, !(floor(x0[f][i]) >= x0[f][i]), OXP_EINVAL,
                        "%s: input '%s' takes whole numbers, its baseline '%s' holds %g",
                        d->params->method->info.name, d->feed_name[f] ? d->feed_name[f] : "?", kind,
                        x0[f][i]);
    }
    OXP_FAIL_IF(d->ctx, !any, OXP_EINVAL,
                "%s: no input of the model can be at a baseline: use baseline-at=tensor",
                d->params->method->info.name);
    return oxp_rows_head(d, 1, x0);
}

bool oxp_baseline_is_at_input(const oxp_params *p)
{
    return oxp_param_known(p, "baseline-at") && oxp_param_is(p, "baseline-at", "input");
}

oxp_status oxp_baseline_fill(oxp_drive *d, const char *kind, size_t item, uint32_t sample,
                             double *const *x0)
{
    if (d->head && oxp_baseline_is_at_input(d->params))
        return fill_from_inputs(d, kind, item, sample, x0);
    for (size_t f = 0; f < d->n_feeds; f++)
        if (d->varied[f]) OXP_TRY(fill_feed(d, kind, f, item, sample, x0[f]));
    return OXP_OK;
}
