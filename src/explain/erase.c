/* erase.c - feature ablation and contrastive erasure: what groups of elements are worth, each group
 * erased by itself.
 *
 *   feature-ablation     Y(x) - Y(x without the group)
 *   contrastive-erasure  (p_c - p_f)(x) - (p_c - p_f)(x without the group)   (Yin, Neubig 2022)
 *
 * Every element of a group gets the group's number. Groups are tokens, features of a table, patches
 * of a grid, single elements, channels, or as labelled by the caller; a group lies in one tensor.
 * Erased elements become the baseline; a token is erased by the model's attention mask where it
 * has one. */
#include "explain/path.h"

#include "base/parse.h"
#include <string.h>

typedef struct groups { /* of one feed's elements */
    int64_t *label;     /* [count] from 0 */
    int64_t n;
    int mask; /* the feed that masks group (token) g at element g, -1: none */
} groups;

/* Position of element i along axis a of a row. */
static int64_t along(const oxp_shape *row, int64_t i, int a)
{
    for (int k = row->rank - 1; k > a; k--) i /= row->dim[k];
    return i % row->dim[a];
}

/* The label of the patch (all channels) that element i lies in; side 0: a 14th of each axis. */
static int64_t patch_of(const oxp_roles *roles, const oxp_shape *row, int64_t i, int64_t side,
                        int64_t *total)
{
    int64_t label = 0;
    *total = 1;
    for (int s = 0; s < roles->n_spatial; s++) {
        const int a = roles->spatial[s] - 1;
        const int64_t dim = row->dim[a], step = roles->tokens ? 1
                                                : side > 0    ? side
                                                              : (dim + 13) / 14;
        const int64_t n = (dim + step - 1) / step;
        label = label * n + along(row, i, a) / step;
        *total *= n;
    }
    return label;
}

/* "0,0,1": labels of elements, or of positions where there is one per position. */
static oxp_status listed(oxp_drive *d, const char *text, size_t f, groups *g)
{
    const size_t count = (size_t)d->count[f];
    size_t given = 1;
    for (const char *c = text; *c; c++) given += *c == ',';
    OXP_FAIL_IF(d->ctx, given != count, OXP_EINVAL,
                "%s: groups lists %zu labels, expected one for each of %zu elements",
                d->params->method->info.name, given, count);
    g->n = 0;
    for (size_t i = 0; i < count; i++, text += strcspn(text, ",") + 1) {
        char item[24];
        const size_t length = strcspn(text, ",");
        const size_t kept = length < sizeof item ? length : sizeof item - 1;
        memcpy(item, text, kept);
        item[kept] = '\0';
        OXP_FAIL_IF(d->ctx,
                    !oxp_parse_i64(item, &g->label[i]) || g->label[i] < 0 ||
                        g->label[i] >= (int64_t)count,
                    OXP_EINVAL, "%s: a group's label is a whole number from 0 to %zu, found '%s'",
                    d->params->method->info.name, count - 1, item);
        g->n = g->label[i] >= g->n ? g->label[i] + 1 : g->n;
    }
    return OXP_OK;
}

/* The integer input whose row has one element per token and whose name says that it is a mask. */
static int mask_feed(const oxp_drive *d, size_t f, int64_t tokens)
{
    for (size_t k = 0; d->feed_roles[f].tokens && k < d->n_feeds; k++)
        if (!d->varied[k] && d->count[k] == tokens && d->feed_name[k] &&
            strstr(d->feed_name[k], "mask"))
            return (int)k;
    return -1;
}

static oxp_status make_groups(oxp_drive *d, size_t f, groups *g)
{
    const oxp_roles *roles = &d->feed_roles[f];
    const oxp_shape *row = &d->row_shape[f];
    const oxp_params *p = d->params;
    const int channel = roles->channel - 1;
    const char *how = oxp_param_known(p, "groups") ? oxp_param_text(p, "groups") : "auto";
    *g = (groups){.label = OXP_NEW(d->ctx->scratch, int64_t, d->count[f] + 1), .mask = -1};
    OXP_NOMEM_IF(d->ctx, g->label);
    const bool whole = strcmp(how, "auto") == 0, each = strcmp(how, "each") == 0,
               by_channel = strcmp(how, "channels") == 0;
    if (!whole && !each && !by_channel) return listed(d, how, f, g);
    OXP_FAIL_IF(d->ctx, by_channel && channel < 0, OXP_EINVAL,
                "%s: the tensor has no channels: use groups=each", p->method->info.name);
    g->n = by_channel ? row->dim[channel] : d->count[f];
    for (int64_t i = 0; i < d->count[f]; i++)
        g->label[i] = by_channel ? along(row, i, channel)
                      : each || roles->n_spatial == 0
                          ? i
                          : patch_of(roles, row, i, oxp_param_int(p, "patch"), &g->n);
    if (whole && !oxp_param_is(p, "remove", "replace")) g->mask = mask_feed(d, f, g->n);
    OXP_FAIL_IF(d->ctx, oxp_param_is(p, "remove", "mask") && g->mask < 0, OXP_EINVAL,
                "%s: no integer input named mask has one element per token: use remove=replace",
                p->method->info.name);
    return OXP_OK;
}

/* Row r: the item without group `label` of feed f. */
static void erase(const oxp_drive *d, const oxp_chunk *c, size_t r, size_t item, size_t f,
                  const groups *g, int64_t label, const double *baseline)
{
    oxp_chunk_item(d, c, r, item);
    if (g->mask >= 0) {
        c->feed[g->mask][r * (size_t)d->count[g->mask] + (size_t)label] = 0.0;
        return;
    }
    double *x = c->feed[f] + r * (size_t)d->count[f];
    for (int64_t i = 0; i < d->count[f]; i++)
        if (g->label[i] == label) x[i] = baseline[i];
}

static oxp_status erase_feed(oxp_drive *d, const oxp_chunk *c, size_t item, size_t f,
                             const groups *g, const double *baseline)
{
    const size_t width = oxp_rows_width(d);
    double *worth = OXP_NEW(d->ctx->scratch, double, g->n + 1);
    double *to = d->out[d->out_of_feed[f]] + item * (size_t)d->count[f];
    OXP_NOMEM_IF(d->ctx, worth);
    for (int64_t first = 0; first < g->n; first += (int64_t)width) {
        const int64_t left = g->n - first;
        const size_t rows = left < (int64_t)width ? (size_t)left : width;
        for (size_t r = 0; r < rows; r++) erase(d, c, r, item, f, g, first + (int64_t)r, baseline);
        OXP_TRY(oxp_rows_run(d, rows, c->feed, c->side, NULL, worth + first));
        OXP_TRY(
            oxp_ctx_progress(d->ctx, d->method->info.name, (uint64_t)first + rows, (uint64_t)g->n));
    }
    for (int64_t i = 0; i < d->count[f]; i++) to[i] = d->score[item] - worth[g->label[i]];
    return OXP_OK;
}

static oxp_status drive(oxp_drive *d)
{
    oxp_chunk c;
    double **x0;
    groups *g = OXP_NEW(d->ctx->scratch, groups, d->n_feeds + 1);
    OXP_NOMEM_IF(d->ctx, g);
    OXP_TRY(oxp_chunk_new(d, oxp_rows_width(d), &c));
    OXP_TRY(oxp_baseline_new(d, &x0));
    for (size_t f = 0; f < d->n_feeds; f++)
        if (d->varied[f]) OXP_TRY(make_groups(d, f, &g[f]));
    for (size_t item = 0; item < d->n_items; item++) {
        OXP_TRY(oxp_baseline_fill(d, oxp_param_text(d->params, "baseline"), item, 0, x0));
        for (size_t f = 0; f < d->n_feeds; f++)
            if (d->varied[f]) OXP_TRY(erase_feed(d, &c, item, f, &g[f], x0[f]));
    }
    return OXP_OK;
}

static oxp_status plan(oxp_task *t)
{
    OXP_TRY(oxp_baseline_check(t->ctx, t->params));
    return oxp_plan_score(t);
}

/* clang-format off */
#define ERASE_PARAMS                                                                               \
    {"patch", "side of a patch of a grid, all channels; 0: a 14th of each axis", OXP_PARAM_INT, 0, \
     1e6, "0", NULL},                                                                              \
    {"remove", "how a token is erased: by the model's attention mask where there is one, or by "   \
     "the baseline", OXP_PARAM_CHOICE, 0, 0, "auto", "auto,mask,replace"},                         \
    OXP_BASELINE_PARAMS("zero"),                                                                   \
    OXP_BASELINE_SEED,                                                                             \
    {"channels", "how channels become one map", OXP_PARAM_CHOICE, 0, 0, "mean",                    \
     "max,sum,mean,l1,l2,none"}
/* clang-format on */

static const oxp_param_info erasure_params[] = {ERASE_PARAMS};
static const oxp_param_info ablation_params[] = {
    {"groups",
     "what is erased together: auto (a token, a feature of a table, a patch of a grid), each "
     "(every element), channels, or a label for each element like 0,0,1",
     OXP_PARAM_TEXT, 0, 0, "auto", NULL},
    ERASE_PARAMS};

const oxp_method oxp_method_contrastive_erasure = {
    .info = {.name = "contrastive-erasure",
             .title = "Contrastive erasure",
             .param_count = OXP_COUNT(erasure_params),
             .is_signed = 1,
             .is_contrastive = 1,
             .sentence = "How much the target's lead in probability over another class falls when "
                         "a token is taken away.",
             .definition = "(p_c - p_f)(x) - (p_c - p_f)(x without a token, feature or patch)",
             .paper = "Yin, Neubig 2022, arXiv:2202.10419",
             .equals = "interpret-lm's erasure by attention mask",
             .cost = "1 forward per token, 1 for the input",
             .weakness = "erases one thing at a time: what is said twice seems to matter little"},
    .params = erasure_params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_CONTRASTIVE | OXP_METHOD_FEEDS | OXP_METHOD_PROBABILITY,
    .channels = OXP_CHANNELS_MEAN,
    .features = OXP_CHANNELS_MEAN,
    .plan = plan,
    .drive = drive,
};

const oxp_method oxp_method_feature_ablation = {
    .info = {.name = "feature-ablation",
             .title = "Feature ablation",
             .param_count = OXP_COUNT(ablation_params),
             .is_signed = 1,
             .sentence = "How much the score falls when a group of input values is replaced.",
             .definition = "Y(x) - Y(x with one group replaced by the baseline), for every element "
                           "of the group",
             .paper = "Zeiler, Fergus 2014, arXiv:1311.2901, with groups for windows",
             .equals = "Captum FeatureAblation (groups = feature_mask, one input at a time)",
             .cost = "1 forward per group, 1 for the input",
             .weakness = "sees one group at a time; the replacement may be an unlikely input"},
    .params = ablation_params,
    .flags = OXP_METHOD_SIGNED | OXP_METHOD_FEEDS,
    .channels = OXP_CHANNELS_MEAN,
    .features = OXP_CHANNELS_MEAN,
    .plan = plan,
    .drive = drive,
};
