/* session.c - when to compile, for how many rows at a time, and the door functions of explain.h. */
#include "explain/session.h"

#include <math.h>
#include <string.h>
#include <time.h>

/* Rows per pass: more only costs memory, on a processor; and no more than keep an input small. */
enum { MAX_WIDTH = 8, MAX_PASS_CELLS = 1 << 22 };

/* ---- making ---- */

static oxp_status copy_references(oxp_ctx *ctx, oxp_session *s, const oxp_settings *from)
{
    oxp_reference *to = OXP_NEW(s->arena, oxp_reference, from->n_references + 1);
    OXP_NOMEM_IF(ctx, to);
    for (size_t i = 0; i < from->n_references; i++) {
        const oxp_reference *r = &from->references[i];
        to[i] = *r;
        to[i].tensor = oxp_arena_strdup(s->arena, r->tensor);
        to[i].data.data = oxp_arena_memdup(s->arena, r->data.data, oxp_tensor_bytes(&r->data));
        OXP_FAIL_IF(ctx, !to[i].tensor || !to[i].data.data, OXP_ENOMEM, "out of memory");
    }
    s->settings.references = to;
    return OXP_OK;
}

static oxp_status copy_settings(oxp_ctx *ctx, oxp_session *s, const oxp_settings *from)
{
    oxp_settings *to = &s->settings;
    *to = *from;
    const char **params = OXP_NEW(s->arena, const char *, from->n_params + 1);
    OXP_NOMEM_IF(ctx, params);
    for (size_t i = 0; i < from->n_params; i++) {
        params[i] = oxp_arena_strdup(s->arena, from->params[i]);
        OXP_NOMEM_IF(ctx, params[i]);
    }
    to->params = params;
    to->layers = oxp_arena_memdup(s->arena, from->layers, from->n_layers * sizeof(oxp_val));
    to->wrt = oxp_arena_memdup(s->arena, from->wrt, from->n_wrt * sizeof(oxp_val));
    OXP_FAIL_IF(ctx, !to->layers || !to->wrt, OXP_ENOMEM, "out of memory");
    OXP_TRY(copy_references(ctx, s, from));
    if (from->method->flags & OXP_METHOD_CONTRASTIVE) to->has_contrast = true;
    if (to->max_memory == 0) to->max_memory = s->net.max_memory;
    return oxp_params_check(ctx, to, &s->params);
}

oxp_status oxp_session_new(oxp_ctx *ctx, const oxp_net *net, const oxp_settings *settings,
                           oxp_session **out)
{
    oxp_arena *arena = oxp_arena_new(net->hooks);
    OXP_NOMEM_IF(ctx, arena);
    oxp_session *s = OXP_NEW(arena, oxp_session, 1);
    if (!s) {
        oxp_arena_free(arena);
        OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
    }
    s->arena = arena;
    s->net = *net;
    s->shapes = OXP_NEW(arena, oxp_input_shape, net->graph->n_inputs + 1);
    s->needs_data = OXP_NEW(arena, bool, net->graph->n_inputs + 1);
    if (!s->shapes || !s->needs_data) {
        oxp_arena_free(arena);
        OXP_FAIL(ctx, OXP_ENOMEM, "out of memory");
    }
    const oxp_status status = copy_settings(ctx, s, settings);
    if (status != OXP_OK) {
        oxp_session_free(s);
        return status;
    }
    *out = s;
    return OXP_OK;
}

static void drop_cores(oxp_session *s)
{
    oxp_core_free(s->core);
    oxp_core_free(s->head);
    s->core = s->head = NULL;
}

void oxp_session_free(oxp_session *s)
{
    if (!s) return;
    drop_cores(s);
    oxp_arena_free(s->fixed);
    oxp_arena_free(s->arena);
}

/* ---- shapes ---- */

/* A declared first axis is the batch when it is symbolic or the input has further axes. */
static bool is_batched(const oxp_shape *declared, const oxp_shape *given)
{
    if (given->rank == 0) return false;
    return given->rank >= 2 ||
           (declared->rank == given->rank && declared->dim[0] == OXP_DIM_UNKNOWN);
}

/* Fractions would be cut off on the way into an integer input: pictures scaled to [0, 1], say. */
static bool loses_fractions(const oxp_value *declared, const oxp_tensor *t)
{
    if (oxp_dtype_is_float(declared->dtype) || !oxp_dtype_is_float(t->dtype)) return false;
    for (int64_t i = 0; i < oxp_shape_elements(&t->shape); i++) {
        const double v = oxp_tensor_get(t, i);
        if (!(floor(v) >= v)) return true;
    }
    return false;
}

static oxp_status check_input(oxp_ctx *ctx, const oxp_value *declared, const oxp_tensor *t,
                              bool batched)
{
    const oxp_shape *want = &declared->shape, *have = &t->shape;
    bool fits = want->rank < 0 || want->rank == have->rank;
    for (int a = batched ? 1 : 0; fits && want->rank >= 0 && a < want->rank; a++)
        fits = want->dim[a] == OXP_DIM_UNKNOWN || want->dim[a] == have->dim[a];
    char expected[OXP_SHAPE_TEXT], found[OXP_SHAPE_TEXT];
    OXP_FAIL_IF(ctx, !fits, OXP_EINVAL, "input '%s' expects shape %s, found %s",
                declared->name ? declared->name : "?", oxp_shape_text(want, expected),
                oxp_shape_text(have, found));
    OXP_FAIL_IF(ctx, oxp_shape_elements(have) == 0, OXP_EINVAL, "input '%s' is empty: shape %s",
                declared->name ? declared->name : "?", oxp_shape_text(have, found));
    OXP_FAIL_IF(ctx, loses_fractions(declared, t), OXP_EINVAL,
                "input '%s' takes whole numbers (%s), found fractions",
                declared->name ? declared->name : "?", oxp_dtype_name(declared->dtype));
    return OXP_OK;
}

/* How many items the inputs whose first axis is open say there are; 0: none says. */
static int64_t items_said(const oxp_graph *model, const oxp_tensor *inputs)
{
    for (size_t i = 0; i < model->n_inputs; i++) {
        const oxp_shape *declared = &oxp_value_of(model, model->inputs[i])->shape;
        const oxp_shape *have = &inputs[i].shape;
        if (declared->rank == have->rank && have->rank > 0 && declared->dim[0] == OXP_DIM_UNKNOWN)
            return have->dim[0];
    }
    return 0;
}

/* A first axis of another fixed size than the batch is none: the layers of a recurrent state. */
static bool has_fixed_front(const oxp_shape *declared, const oxp_shape *have, int64_t items)
{
    return items > 0 && declared->rank == have->rank && declared->dim[0] > 0 &&
           declared->dim[0] != items;
}

/* The rows' shapes, the number of items, and how many the model's declaration forces into one
 * run (0: any). */
static oxp_status read_shapes(oxp_ctx *ctx, const oxp_session *s, const oxp_tensor *inputs,
                              size_t n, oxp_input_shape *shapes, size_t *n_items, size_t *forced)
{
    const oxp_graph *model = s->net.graph;
    OXP_FAIL_IF(ctx, n != model->n_inputs, OXP_EINVAL, "the model has %zu inputs, found %zu",
                model->n_inputs, n);
    const int64_t items = items_said(model, inputs);
    *n_items = 0;
    *forced = 0;
    for (size_t i = 0; i < n; i++) {
        const oxp_value *declared = oxp_value_of(model, model->inputs[i]);
        const oxp_shape *have = &inputs[i].shape;
        const bool batched = !s->unbatched && is_batched(&declared->shape, have) &&
                             !has_fixed_front(&declared->shape, have, items);
        OXP_TRY(check_input(ctx, declared, &inputs[i], batched));
        shapes[i] = (oxp_input_shape){.row = *have, .shared = !batched};
        if (!batched) continue;
        shapes[i].row = oxp_shape_of(have->rank - 1, have->dim + 1);
        OXP_FAIL_IF(ctx, *n_items && *n_items != (size_t)have->dim[0], OXP_EINVAL,
                    "the inputs disagree about the batch: %zu items, then %lld", *n_items,
                    (long long)have->dim[0]);
        *n_items = (size_t)have->dim[0];
        if (declared->shape.rank == have->rank && declared->shape.dim[0] > 0)
            *forced = (size_t)declared->shape.dim[0];
    }
    *n_items = *n_items ? *n_items : 1;
    return OXP_OK;
}

static bool same_inputs(const oxp_session *s, const oxp_input_shape *shapes,
                        const oxp_tensor *inputs, size_t width)
{
    bool same = s->core && s->core->width >= width;
    for (size_t i = 0; same && i < s->n_inputs; i++) {
        same = s->shapes[i].shared == shapes[i].shared &&
               oxp_shape_equal(&s->shapes[i].row, &shapes[i].row);
        if (same && s->shapes[i].fixed)
            same =
                oxp_shape_equal(&s->shapes[i].fixed->shape, &inputs[i].shape) &&
                s->shapes[i].fixed->dtype == inputs[i].dtype &&
                memcmp(s->shapes[i].fixed->data, inputs[i].data, oxp_tensor_bytes(&inputs[i])) == 0;
    }
    return same;
}

/* ---- compiling ---- */

static const char one_by_one_alone[] =
    "items were explained one by one: the model does not take several at once";
static const char one_by_one_mixed[] =
    "items were explained one by one: the model lets the items of a batch influence each other";

/* Integers that decide shapes become guarded constants: another value compiles again. */
static oxp_status fix_data(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs)
{
    oxp_arena_free(s->fixed);
    s->fixed = oxp_arena_new(s->net.hooks);
    OXP_NOMEM_IF(ctx, s->fixed);
    for (size_t i = 0; i < s->n_inputs; i++) {
        s->shapes[i].fixed = NULL;
        if (!s->needs_data[i]) continue;
        oxp_tensor *copy = OXP_NEW(s->fixed, oxp_tensor, 1);
        OXP_NOMEM_IF(ctx, copy);
        *copy = inputs[i];
        copy->data = oxp_arena_memdup(s->fixed, inputs[i].data, oxp_tensor_bytes(&inputs[i]));
        OXP_NOMEM_IF(ctx, copy->data);
        s->shapes[i].fixed = copy;
    }
    return OXP_OK;
}

/* A guarded input holds the data of the whole batch, so such a batch has one item. */
static oxp_status check_guarded(oxp_ctx *ctx, const oxp_session *s, size_t n_items)
{
    OXP_FAIL_IF(ctx, s->pinned && n_items > 1, OXP_EUNSUPPORTED,
                "shapes or branches inside the model depend on the data: give one item at a time, "
                "found a batch of %zu",
                n_items);
    for (size_t i = 0; i < s->n_inputs; i++) {
        const char *name = oxp_value_of(s->net.graph, s->net.graph->inputs[i])->name;
        OXP_FAIL_IF(ctx, s->needs_data[i] && !s->shapes[i].shared && n_items > 1, OXP_EUNSUPPORTED,
                    "the data of input '%s' decides shapes inside the model: give one item at a "
                    "time, found a batch of %zu",
                    name ? name : "?", n_items);
    }
    return OXP_OK;
}

static bool guards_items(const oxp_session *s)
{
    bool any = s->pinned;
    for (size_t i = 0; i < s->n_inputs; i++)
        any = any || (s->needs_data[i] && !s->shapes[i].shared);
    return any;
}

/* Compiles, guarding the data of more inputs as long as shapes turn out to depend on them. */
static oxp_status compile_width(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs,
                                size_t n_items, size_t width, oxp_core_trouble *trouble)
{
    *trouble = (oxp_core_trouble){.needs_data = OXP_NEW(ctx->scratch, bool, s->n_inputs + 1)};
    OXP_NOMEM_IF(ctx, trouble->needs_data);
    drop_cores(s);
    for (;;) {
        bool more = false;
        OXP_TRY(check_guarded(ctx, s, n_items));
        OXP_TRY(fix_data(ctx, s, inputs));
        for (size_t i = 0; i < s->n_inputs; i++) s->shapes[i].data = &inputs[i];
        const oxp_status status = oxp_core_new(ctx, &s->net, &s->settings, &s->params, s->shapes,
                                               guards_items(s) ? 1 : width, &s->core, trouble);
        for (size_t i = 0; i < s->n_inputs; i++) {
            more = more || (trouble->needs_data[i] && !s->needs_data[i]);
            s->needs_data[i] = s->needs_data[i] || trouble->needs_data[i];
        }
        const bool pins = trouble->misfit || (status == OXP_OK && s->core->n_pins > 0);
        if (pins && !s->pinned && (trouble->misfit || n_items > 1)) { /* one row, or none */
            s->pinned = more = true;
            drop_cores(s);
            continue;
        }
        if (status == OXP_OK) return oxp_core_head(ctx, s->core, s->shapes, &s->head);
        if (!more) return status;
    }
}

/* Is a float input without a batch axis attributed to, or varied? Each row then needs a value (and
 * has a gradient) of its own, so rows run one by one. */
static bool shares_attributed(const oxp_session *s, const oxp_input_shape *shapes)
{
    const oxp_graph *model = s->net.graph;
    const oxp_method *kind = s->params.inner ? s->params.inner : s->params.method;
    const bool layered = (kind->flags & OXP_METHOD_LAYER) != 0;
    if (layered && !(s->params.method->flags & OXP_METHOD_FEEDS)) return false;
    for (size_t i = 0; i < model->n_inputs; i++) {
        bool asked = layered || s->settings.n_wrt == 0;
        for (size_t k = 0; k < s->settings.n_wrt; k++)
            asked = asked || s->settings.wrt[k] == model->inputs[i];
        if (asked && shapes[i].shared &&
            oxp_dtype_is_float(oxp_value_of(model, model->inputs[i])->dtype))
            return true;
    }
    return false;
}

static size_t widest(const oxp_session *s, const oxp_input_shape *shapes)
{
    int64_t most = 1;
    for (size_t i = 0; i < s->net.graph->n_inputs; i++) {
        const int64_t cells = oxp_shape_elements(&shapes[i].row);
        most = cells > most ? cells : most;
    }
    const int64_t width = MAX_PASS_CELLS / most;
    return width < 1 ? 1 : width < MAX_WIDTH ? (size_t)width : MAX_WIDTH;
}

static size_t width_for(const oxp_session *s, const oxp_input_shape *shapes, size_t n_items,
                        size_t forced)
{
    if (forced > 1 || (forced && s->only_one)) return forced;
    if (s->one_by_one || s->unbatched || guards_items(s) || shares_attributed(s, shapes)) return 1;
    const uint32_t flags = s->params.method->flags;
    const bool many = (flags & OXP_METHOD_FEEDS) && !(flags & OXP_METHOD_LOCKSTEP);
    const size_t most = widest(s, shapes);
    return many || n_items > most ? most : n_items;
}

static bool worth_another_try(oxp_status status)
{
    return status == OXP_EINVAL || status == OXP_EUNSUPPORTED || status == OXP_ELIMIT;
}

/* A model declared for one item runs several where the graph lets itself be widened, and gives for two
 * different items what it gives for each alone; else one by one. */
static oxp_status compile_widened(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs,
                                  size_t n_items, size_t width)
{
    oxp_core_trouble trouble;
    oxp_alone alone = {0};
    bool same = false;
    OXP_TRY(compile_width(ctx, s, inputs, n_items, 1, &trouble));
    s->only_one = guards_items(s) || s->core->n_pins > 0; /* held for the data at hand */
    if (s->only_one) return OXP_OK;
    oxp_status status = oxp_alone_run(ctx, s, inputs, &alone);
    if (status == OXP_OK && alone.telling) {
        status = compile_width(ctx, s, inputs, n_items, width, &trouble);
        if (status == OXP_OK) status = oxp_alone_check(ctx, s, &alone, &same);
    }
    if (status != OXP_OK && !worth_another_try(status)) return status;
    oxp_ctx_log(ctx, "compile", "a model declared for 1 item, %swidened to %zu%s",
                same ? "" : "not ", width,
                same               ? ": two items side by side score as each alone"
                : status != OXP_OK ? ": its graph does not take them"
                : alone.telling    ? ": items side by side would not score as each alone"
                                   : ": scores of two items are alike, which proves nothing");
    if (same) return OXP_OK;
    s->only_one = true;
    return compile_width(ctx, s, inputs, n_items, 1, &trouble);
}

/* Items side by side if the graph takes them so and keeps them apart, else one by one. A target as
 * large for many items as for one has no batch axis: then *unbatched, and nothing is compiled. */
static oxp_status compile_items(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs,
                                size_t n_items, size_t forced, bool *unbatched)
{
    oxp_core_trouble wide, narrow;
    const size_t width = width_for(s, s->shapes, n_items, forced);
    const char *why = one_by_one_alone;
    *unbatched = false;
    if (forced == 1 && width > 1) return compile_widened(ctx, s, inputs, n_items, width);
    oxp_status status = compile_width(ctx, s, inputs, n_items, width, &wide);
    if (status == OXP_OK && s->core->width > 1 && !s->mix_checked) {
        bool mixes = false;
        OXP_TRY(oxp_session_mixes(ctx, s, inputs, &mixes));
        if (!mixes) return OXP_OK;
        OXP_FAIL_IF(ctx, forced, OXP_EUNSUPPORTED,
                    "the items of this model's batch of %zu influence each other: they have no "
                    "explanations of their own",
                    forced);
        why = one_by_one_mixed;
        wide.no_batch = true; /* an axis as long as the batch by chance, perhaps */
        wide.target_count = (int64_t)width * s->core->classes.count;
    } else if (status == OXP_OK || width == 1 || !worth_another_try(status)) {
        return status;
    } else if (forced) {
        *unbatched = wide.no_batch;
        return wide.no_batch ? OXP_OK : status;
    }
    OXP_TRY(compile_width(ctx, s, inputs, n_items, 1, &narrow));
    *unbatched = wide.no_batch && n_items > 1 && wide.target_count == s->core->classes.count;
    s->one_by_one = why;
    return OXP_OK;
}

oxp_status oxp_session_compile(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs,
                               size_t n_inputs, size_t *n_items)
{
    size_t forced;
    oxp_input_shape *shapes = OXP_NEW(ctx->scratch, oxp_input_shape, n_inputs + 1);
    OXP_NOMEM_IF(ctx, shapes);
    OXP_TRY(read_shapes(ctx, s, inputs, n_inputs, shapes, n_items, &forced));
    bool same = same_inputs(s, shapes, inputs, width_for(s, shapes, *n_items, forced));
    if (same) OXP_TRY(oxp_core_holds(ctx, s->core, inputs, &same));
    if (same) OXP_TRY(oxp_core_holds(ctx, s->head, inputs, &same));
    if (same) return OXP_OK;
    s->n_inputs = n_inputs;
    memcpy(s->shapes, shapes, n_inputs * sizeof *shapes);
    bool unbatched;
    oxp_status status = compile_items(ctx, s, inputs, *n_items, forced, &unbatched);
    if (status == OXP_OK && unbatched) {
        s->unbatched = true;
        s->one_by_one = NULL;
        drop_cores(s);
        return oxp_session_compile(ctx, s, inputs, n_inputs, n_items);
    }
    if (status != OXP_OK) drop_cores(s);
    return status;
}

/* ---- doors ---- */

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

oxp_status oxp_session_explain(oxp_ctx *ctx, oxp_session *s, oxp_arena *arena,
                               const oxp_tensor *inputs, size_t n_inputs, oxp_target target,
                               oxp_target contrast, oxp_explanation *out)
{
    size_t n_items;
    oxp_items items;
    OXP_TRY(oxp_session_compile(ctx, s, inputs, n_inputs, &n_items));
    const uint32_t before = s->core->passes;
    const double start = now();
    OXP_TRY(oxp_items_make(ctx, s, arena, inputs, n_items, &items));
    items.drive.target = &target;
    items.drive.contrast = &contrast;
    OXP_TRY(oxp_items_run(ctx, s, &items));
    OXP_TRY(oxp_items_augment(ctx, s, inputs, &items));
    OXP_TRY(oxp_result_make(ctx, s, arena, &items, out));
    out->passes = s->core->passes - before;
    out->seconds = now() - start;
    return OXP_OK;
}

typedef struct rehearsal {
    double end; /* drives that draw much noise would go on for minutes */
    const uint32_t *passes;
    uint32_t reports, first_passes; /* the latter at the first report */
    uint64_t first, done, total;
} rehearsal;

static int follow_rehearsal(const char *what, uint64_t done, uint64_t total, void *user)
{
    rehearsal *r = user;
    OXP_UNUSED(what);
    if (r->reports++ == 0) {
        r->first = done;
        r->first_passes = *r->passes;
    }
    r->done = done;
    r->total = total;
    return r->reports > 1 && now() > r->end;
}

static oxp_status rehearse(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs, size_t n_items,
                           oxp_target target, oxp_target contrast)
{
    oxp_items items;
    OXP_TRY(oxp_items_make(ctx, s, ctx->scratch, inputs, n_items, &items));
    items.drive.target = &target;
    items.drive.contrast = &contrast;
    OXP_TRY(oxp_items_run(ctx, s, &items));
    return oxp_items_augment(ctx, s, inputs, &items);
}

/* The method drives, its passes are counted instead of run; after a second the rest is inferred
 * from what passed between its reports of progress. */
oxp_status oxp_session_cost(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs, size_t n_inputs,
                            oxp_target target, oxp_target contrast, oxp_cost *cost,
                            uint32_t *passes)
{
    size_t n_items;
    OXP_TRY(oxp_session_compile(ctx, s, inputs, n_inputs, &n_items));
    rehearsal r = {.end = now() + 1.0, .passes = &s->core->passes};
    oxp_error why = {0};
    oxp_ctx quiet = *ctx;
    quiet.error = &why;
    quiet.progress = follow_rehearsal;
    quiet.progress_user = &r;
    const uint32_t before = s->core->passes;
    s->core->rehearsal = true;
    if (s->head) s->head->rehearsal = true;
    const oxp_status status = rehearse(&quiet, s, inputs, n_items, target, contrast);
    s->core->rehearsal = false;
    if (s->head) s->head->rehearsal = false;
    if (status != OXP_OK && status != OXP_ECANCELLED && ctx->error) *ctx->error = why;
    *cost = oxp_program_cost(s->core->program);
    *passes = s->core->passes - before;
    if (status != OXP_ECANCELLED) return status;
    const double per_unit = (double)(s->core->passes - r.first_passes) /
                            (double)(r.done > r.first ? r.done - r.first : 1);
    *passes += (uint32_t)(per_unit * (double)(r.total - r.done) + 0.5);
    return OXP_OK;
}

oxp_status oxp_session_print(oxp_ctx *ctx, oxp_session *s, const oxp_tensor *inputs,
                             size_t n_inputs, bool plan, oxp_strbuf *out)
{
    size_t n_items;
    OXP_TRY(oxp_session_compile(ctx, s, inputs, n_inputs, &n_items));
    if (plan)
        oxp_program_print(s->core->program, out);
    else
        oxp_graph_print(s->core->g, out);
    return OXP_OK;
}
