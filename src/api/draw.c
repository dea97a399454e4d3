/* draw.c - results as pictures and arrays: what is drawn over what, and with which words.
 *
 * A map with two axes goes over the photo it was computed from, in the box that the model saw. A map
 * with a value per token id goes over the words. Other maps go over the array that was the input where
 * their axes match, and else stand alone. */
#include "api/api.h"

#include "render/ansi.h"
#include "render/overlay.h"
#include "render/png.h"
#include "render/sheet.h"
#include <math.h>
#include <string.h>

/* ---- what is drawn ---- */

static oxp_status check_item(oxp_ctx *ctx, const oxp_result *r, size_t map, size_t item)
{
    const oxp_explanation *e = r->explanation;
    OXP_FAIL_IF(ctx, map >= e->n_maps, OXP_EINVAL,
                "the result has %zu maps, there is no number %zu", e->n_maps, map);
    OXP_FAIL_IF(ctx, item >= e->n_items, OXP_EINVAL,
                "the result has %zu items, there is no number %zu", e->n_items, item);
    return OXP_OK;
}

/* One item of a tensor whose first axis is the batch. */
static oxp_tensor item_of(const oxp_tensor *t, size_t item)
{
    oxp_tensor row = {t->dtype, oxp_shape_of(t->shape.rank - 1, t->shape.dim + 1), NULL};
    row.data = (const char *)t->data + item * oxp_tensor_bytes(&row);
    return row;
}

static oxp_status make_attribution(oxp_ctx *ctx, const oxp_attributed *a, size_t item,
                                   oxp_attribution *out)
{
    char text[OXP_SHAPE_TEXT];
    const oxp_tensor row = item_of(&a->map, item);
    OXP_FAIL_IF(ctx, row.shape.rank > 3, OXP_EINVAL,
                "a map of shape %s cannot be drawn (at most 3 axes): save it as npy",
                oxp_shape_text(&row.shape, text));
    *out = (oxp_attribution){.v = row.data, .rank = row.shape.rank, .is_signed = a->is_signed};
    for (int i = 0; i < row.shape.rank; i++) out->dim[i] = row.shape.dim[i];
    if (out->rank == 0) out->dim[out->rank++] = 1;
    return OXP_OK;
}

/* The axis of `array` that a map over it lacks: its channels. -1: same axes; -2: no match. */
static int channel_axis(const oxp_shape *array, const oxp_attribution *a)
{
    for (int skip = -1; skip < array->rank; skip++) {
        int k = 0;
        bool same = array->rank - (skip >= 0) == a->rank;
        for (int i = 0; same && i < array->rank; i++)
            same = i == skip || array->dim[i] == a->dim[k++];
        if (same) return skip;
    }
    return -2;
}

static oxp_subject photo(const oxp_media_input *media)
{
    const oxp_geometry *g = &media->geometry;
    return (oxp_subject){
        .kind = OXP_SUBJECT_PICTURE,
        .picture = {media->image.width, media->image.height, media->image.rgb},
        .crop = {g->left, g->top, g->input_width * g->scale_x, g->input_height * g->scale_y}};
}

/* Token ids (T) as the words of the model's vocabulary, or as numbers. */
static oxp_status text_of(oxp_ctx *ctx, const oxp_vocabulary *words, const oxp_tensor *ids,
                          oxp_subject *out)
{
    const int64_t n = ids->shape.dim[0];
    const char **names = OXP_NEW(ctx->scratch, const char *, n);
    bool *starts = OXP_NEW(ctx->scratch, bool, n);
    OXP_FAIL_IF(ctx, !names || !starts, OXP_ENOMEM, "out of memory");
    for (int64_t i = 0; i < n; i++) {
        const int64_t id = oxp_tensor_get_int(ids, i);
        const bool known = id >= 0 && (uint64_t)id < words->count && words->piece[id];
        names[i] =
            known ? words->piece[id]
                  : oxp_arena_printf(ctx->scratch, words->count ? "<%lld>" : "%lld", (long long)id);
        OXP_NOMEM_IF(ctx, names[i]);
        starts[i] = known ? words->starts[id] : true;
    }
    *out =
        (oxp_subject){.kind = OXP_SUBJECT_TEXT, .dim = {n, 1, 1}, .names = names, .starts = starts};
    return OXP_OK;
}

/* Integers of one item, as many as the map has values: tokens. */
static bool is_text(const oxp_tensor *row, const oxp_attribution *a)
{
    return oxp_dtype_is_int(row->dtype) && row->shape.rank == 1 && a->rank == 1 &&
           row->shape.dim[0] == a->dim[0] && a->dim[0] > 1;
}

static oxp_status make_subject(oxp_ctx *ctx, const oxp_model *model, const oxp_input *input,
                               size_t item, const oxp_attribution *a, oxp_subject *out)
{
    if (input && input->media.has_image && a->rank == 2) {
        *out = photo(&input->media);
        return OXP_OK;
    }
    if (input && input->media.tensor.shape.rank > 0) {
        const oxp_tensor *whole = &input->media.tensor;
        const bool batched = whole->shape.rank > 1 && (int64_t)item < whole->shape.dim[0];
        const oxp_tensor row = batched ? item_of(whole, item) : *whole;
        if (is_text(&row, a)) return text_of(ctx, &model->words, &row, out);
        const int axis = channel_axis(&row.shape, a);
        if (axis >= -1) return oxp_subject_of_tensor(ctx, ctx->scratch, &row, axis, out);
    }
    const oxp_tensor alone = {OXP_F32, oxp_shape_of(a->rank, a->dim), a->v};
    return oxp_subject_of_tensor(ctx, ctx->scratch, &alone, -1, out);
}

/* ---- words ---- */

static const char *shown(oxp_ctx *ctx, const oxp_model *m, int64_t index)
{
    const char *label = oxp_model_label(m, index);
    return label ? oxp_arena_printf(ctx->scratch, "%.*s", (int)strcspn(label, ","), label)
                 : oxp_arena_printf(ctx->scratch, "class %lld", (long long)index);
}

/* "tabby, 0.53", "tabby against tiger cat", "dense[3]" */
static const char *target_words(oxp_ctx *ctx, const oxp_result *r, size_t item)
{
    const oxp_explanation *e = r->explanation;
    const oxp_item *it = &e->items[item];
    if (e->classes == 0) return r->target_text;
    const char *name = shown(ctx, r->model, it->target);
    if (!name) return NULL;
    if (it->contrast >= 0) {
        const char *other = shown(ctx, r->model, it->contrast);
        return other ? oxp_arena_printf(ctx->scratch, "%s against %s", name, other) : NULL;
    }
    for (size_t k = 0; k < it->n_top; k++)
        if (it->top[k].index == it->target && !isnan(it->top[k].probability))
            return oxp_arena_printf(ctx->scratch, "%s, p = %.3f", name, it->top[k].probability);
    return name;
}

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path ? path : "model";
}

static oxp_status read_look(oxp_ctx *ctx, const oxp_render_options *options, oxp_look *look)
{
    oxp_render_options o;
    OXP_TRY(OXP_API_OPTIONS(ctx, oxp_render_options, alpha, options, &o));
    OXP_FAIL_IF(ctx, !(o.percentile >= 0.0 && o.percentile <= 100.0), OXP_EINVAL,
                "percentile must be above 0 and at most 100, found %g", o.percentile);
    OXP_FAIL_IF(ctx, !(o.alpha >= 0.0 && o.alpha <= 1.0), OXP_EINVAL,
                "alpha must be above 0 and at most 1, found %g", o.alpha);
    *look = (oxp_look){o.colormap, o.percentile, o.alpha};
    return OXP_OK;
}

/* ---- formats ---- */

static oxp_status to_png(oxp_ctx *ctx, const oxp_canvas *canvas, const char *description,
                         oxp_blob *blob)
{
    const oxp_png_text texts[] = {{"Software", "onnxplain"}, {"Description", description}};
    const oxp_picture picture = oxp_canvas_picture(canvas);
    return oxp_png_encode(ctx, blob->arena, &picture, texts, OXP_COUNT(texts), &blob->bytes);
}

static oxp_status draw_map(oxp_ctx *ctx, oxp_blob *blob, const oxp_result *r, size_t map,
                           size_t item, const oxp_input *input, const oxp_look *look, bool ansi)
{
    oxp_attribution a;
    oxp_subject subject;
    oxp_canvas canvas;
    OXP_TRY(make_attribution(ctx, &r->explanation->maps[map], item, &a));
    OXP_TRY(make_subject(ctx, r->model, input, item, &a, &subject));
    if (ansi) {
        oxp_strbuf sb;
        oxp_strbuf_init(&sb, blob->arena);
        OXP_TRY(oxp_ansi_text(ctx, &subject, &a, look, &sb));
        const char *line = oxp_strbuf_str(&sb);
        OXP_NOMEM_IF(ctx, line);
        blob->bytes = (oxp_bytes){(const uint8_t *)line, sb.len};
        return OXP_OK;
    }
    const char *words = target_words(ctx, r, item);
    const char *title =
        words ? oxp_arena_printf(ctx->scratch, "%s: %s", r->explanation->method->info.title, words)
              : NULL;
    OXP_NOMEM_IF(ctx, title);
    OXP_TRY(oxp_overlay_draw(ctx, ctx->scratch, &subject, &a, look, title, &canvas, NULL));
    return to_png(ctx, &canvas, title, blob);
}

static oxp_status render_in(oxp_ctx *ctx, oxp_blob *blob, const oxp_result *r, size_t map,
                            size_t item, const oxp_input *input, const char *format,
                            const oxp_render_options *options)
{
    oxp_look look;
    OXP_TRY(read_look(ctx, options, &look));
    OXP_TRY(check_item(ctx, r, map, item));
    ctx->stage = OXP_STAGE_RENDER;
    if (strcmp(format, "npy") == 0)
        return oxp_npy_format(ctx, blob->arena, &r->explanation->maps[map].raw, &blob->bytes);
    const bool ansi = strcmp(format, "ansi") == 0;
    OXP_FAIL_IF(ctx, !ansi && strcmp(format, "png") != 0, OXP_EINVAL,
                "format must be png, npy or ansi, found '%.60s'", format);
    return draw_map(ctx, blob, r, map, item, input, &look, ansi);
}

static oxp_status finish(oxp_blob **out, oxp_blob *blob, oxp_status status)
{
    if (status == OXP_OK)
        *out = blob;
    else
        oxp_arena_free(blob->arena);
    return status;
}

static oxp_status new_blob(oxp_ctx *ctx, oxp_blob **out)
{
    oxp_arena *arena;
    void *made;
    OXP_TRY(oxp_api_new(ctx, sizeof(oxp_blob), &arena, &made));
    *out = made;
    (*out)->arena = arena;
    return OXP_OK;
}

oxp_status oxp_render(oxp_blob **out, const oxp_result *result, size_t map, size_t item,
                      const oxp_input *input, const char *format, const oxp_render_options *options,
                      oxp_error *error)
{
    oxp_blob *blob;
    oxp_ctx ctx = {.error = error, .stage = OXP_STAGE_ARG};
    OXP_FAIL_IF(&ctx, !out || !result || !format, OXP_EINVAL, "an argument is missing (NULL)");
    OXP_TRY(oxp_api_begin_model(&ctx, result->model, error));
    oxp_status status = new_blob(&ctx, &blob);
    if (status == OXP_OK)
        status =
            finish(out, blob, render_in(&ctx, blob, result, map, item, input, format, options));
    return oxp_api_end(&ctx, status);
}

/* ---- sheets ---- */

static oxp_status fill_panel(oxp_ctx *ctx, const oxp_result *r, size_t item, oxp_panel *panel)
{
    OXP_FAIL_IF(ctx, !r, OXP_EINVAL, "a result is missing (NULL)");
    OXP_TRY(check_item(ctx, r, 0, item));
    const oxp_explanation *e = r->explanation;
    const char *words = target_words(ctx, r, item);
    OXP_NOMEM_IF(ctx, words);
    panel->title = e->method->info.title;
    panel->subtitle =
        e->layer ? oxp_arena_printf(ctx->scratch, "%s; layer %s", words, e->layer) : words;
    OXP_NOMEM_IF(ctx, panel->subtitle);
    return make_attribution(ctx, &e->maps[0], item, &panel->attribution);
}

static oxp_status sheet_in(oxp_ctx *ctx, oxp_blob *blob, const oxp_result *const *results, size_t n,
                           size_t item, const oxp_input *input, const oxp_render_options *options)
{
    oxp_sheet sheet = {.n_panels = n};
    oxp_subject subject;
    oxp_canvas canvas;
    OXP_TRY(read_look(ctx, options, &sheet.look));
    oxp_panel *panels = OXP_NEW(ctx->scratch, oxp_panel, n);
    OXP_NOMEM_IF(ctx, panels);
    for (size_t i = 0; i < n; i++) OXP_TRY(fill_panel(ctx, results[i], item, &panels[i]));
    ctx->stage = OXP_STAGE_RENDER;
    OXP_TRY(make_subject(ctx, results[0]->model, input, item, &panels[0].attribution, &subject));
    const oxp_result *r = results[0];
    const oxp_item *it = &r->explanation->items[item];
    sheet.title = base_name(input && input->path ? input->path : r->model->path);
    sheet.caption = oxp_arena_printf(ctx->scratch, "%s, score: %s. %s", base_name(r->model->path),
                                     r->explanation->space, input ? input->media.description : "");
    OXP_NOMEM_IF(ctx, sheet.caption);
    if (it->n_top > 0) {
        const char *name = shown(ctx, r->model, it->top[0].index);
        OXP_NOMEM_IF(ctx, name);
        sheet.input_subtitle = isnan(it->top[0].probability)
                                   ? name
                                   : oxp_arena_printf(ctx->scratch, "predicted: %s, p = %.3f", name,
                                                      it->top[0].probability);
        OXP_NOMEM_IF(ctx, sheet.input_subtitle);
    }
    sheet.subject = &subject;
    sheet.panels = panels;
    OXP_TRY(oxp_sheet_draw(ctx, ctx->scratch, &sheet, &canvas));
    return to_png(ctx, &canvas, sheet.title, blob);
}

oxp_status oxp_render_sheet(oxp_blob **out, const oxp_result *const *results, size_t n_results,
                            size_t item, const oxp_input *input, const oxp_render_options *options,
                            oxp_error *error)
{
    oxp_blob *blob;
    oxp_ctx ctx = {.error = error, .stage = OXP_STAGE_ARG};
    OXP_FAIL_IF(&ctx, !out || !results || n_results == 0 || !results[0], OXP_EINVAL,
                "an argument is missing (NULL)");
    OXP_TRY(oxp_api_begin_model(&ctx, results[0]->model, error));
    oxp_status status = new_blob(&ctx, &blob);
    if (status == OXP_OK)
        status = finish(out, blob, sheet_in(&ctx, blob, results, n_results, item, input, options));
    return oxp_api_end(&ctx, status);
}
