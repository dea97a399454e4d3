/* lower.c - the bookkeeping behind ops/lower.h: where values lie, and the list of steps.
 *
 * A value gets its storage from the verb that computes it (a result), from another value (a view)
 * or on first use (inputs and constants, which take the layout their first reader asks for). A
 * value asked for in a layout it does not have is copied once; the copy is remembered.
 *
 * A result may take over the storage of an operand that dies at the node. Safe when nothing else
 * reads those bytes: no later node, no other value of this node in the same storage. Each
 * takeover raises the storage's version; only the step that writes the result first may still
 * read the old one (steps.c), so that a verb that would read the lost operand afterwards fails
 * while compiling. */
#include "base/checked.h"
#include "exec/host.h"
#include <string.h>

/* ---- small questions ---- */

oxp_ctx *oxp_lower_ctx(oxp_lower *lw)
{
    return lw->ctx;
}

const oxp_graph *oxp_lower_graph(oxp_lower *lw)
{
    return lw->program->g;
}

oxp_arena *oxp_lower_arena(oxp_lower *lw)
{
    return lw->program->arena;
}

int oxp_lower_threads(const oxp_lower *lw)
{
    return lw->program->threads;
}

oxp_placed *oxp_lower_at(oxp_lower *lw, oxp_val v)
{
    return lw->f->vals[v];
}

const oxp_tensor *oxp_lower_constant(oxp_lower *lw, oxp_val v)
{
    const oxp_graph *g = lw->program->g;
    return v != OXP_NO_VAL && v < g->n_values ? oxp_value_of(g, v)->constant : NULL;
}

oxp_status oxp_lower_defer(oxp_lower *lw, void (*fn)(void *), void *ptr)
{
    OXP_FAIL_IF(lw->ctx, !oxp_arena_defer(lw->program->arena, fn, ptr), OXP_ENOMEM,
                "out of memory");
    return OXP_OK;
}

bool oxp_lower_wants_channels_last(oxp_lower *lw, oxp_val v)
{
    return v < lw->program->g->n_values && lw->wants_channels_last[v];
}

/* ---- storages ---- */

static oxp_status new_storage(oxp_lower *lw, size_t bytes, const void *constant, uint32_t *out)
{
    oxp_fused *f = lw->f;
    OXP_FAIL_IF(lw->ctx,
                !oxp_arena_grow(lw->program->arena, &f->storages, f->n_storages, &f->cap_storages,
                                sizeof *f->storages),
                OXP_ENOMEM, "out of memory");
    *out = (uint32_t)f->n_storages;
    f->storages[f->n_storages++] = (oxp_storage){
        .bytes = bytes, .constant = constant, .first = UINT32_MAX, .phase = lw->phase};
    return OXP_OK;
}

static oxp_status value_bytes(oxp_lower *lw, const oxp_placed *p, size_t *bytes)
{
    int64_t n;
    const bool fits = oxp_shape_count(&p->shape, &n) && (uint64_t)n <= SIZE_MAX &&
                      oxp_mul_size((size_t)n, oxp_dtype_size(p->dtype), bytes);
    OXP_FAIL_IF(lw->ctx, !fits, OXP_ELIMIT, "a value of this graph exceeds the address space");
    return OXP_OK;
}

static void lie_in(oxp_lower *lw, oxp_placed *p, uint32_t storage, const oxp_place *place)
{
    oxp_storage *s = &lw->f->storages[storage];
    p->storage = storage;
    p->place = *place;
    p->version = s->version;
    if (p->last_node > s->last_node) s->last_node = p->last_node;
}

static oxp_status own_storage(oxp_lower *lw, oxp_placed *p, const oxp_place *place)
{
    size_t bytes;
    uint32_t storage;
    OXP_TRY(value_bytes(lw, p, &bytes));
    OXP_TRY(new_storage(lw, bytes, NULL, &storage));
    lie_in(lw, p, storage, place);
    return OXP_OK;
}

/* ---- inputs and constants, on first use ---- */

static oxp_status place_constant(oxp_lower *lw, oxp_placed *p, const oxp_tensor *t)
{
    const void *rows;
    uint32_t storage;
    size_t bytes;
    OXP_TRY(value_bytes(lw, p, &bytes));
    OXP_TRY(oxp_lower_weight_rows(lw, t, p->dtype, &rows));
    OXP_TRY(new_storage(lw, bytes, rows, &storage));
    const oxp_place place = oxp_place_dense(&p->shape, OXP_LAYOUT_ROWS);
    lie_in(lw, p, storage, &place);
    return OXP_OK;
}

static oxp_status place_input(oxp_lower *lw, oxp_val v, oxp_layout layout)
{
    oxp_placed *p = oxp_lower_at(lw, v);
    if (layout == OXP_LAYOUT_ANY)
        layout = lw->wants_channels_last[v] ? OXP_LAYOUT_CHANNELS_LAST : OXP_LAYOUT_ROWS;
    const oxp_place place = oxp_place_dense(&p->shape, layout);
    const int phase = lw->phase;
    lw->phase = 0;
    const oxp_status status = own_storage(lw, p, &place);
    lw->phase = phase;
    return status;
}

/* Makes sure that v lies somewhere; an input in the layout given. */
static oxp_status settle(oxp_lower *lw, oxp_val v, oxp_layout layout)
{
    oxp_placed *p = oxp_lower_at(lw, v);
    if (oxp_is_placed(p)) return OXP_OK;
    const oxp_value *value = oxp_value_of(lw->program->g, v);
    if (value->kind == OXP_VALUE_CONST) return place_constant(lw, p, value->constant);
    OXP_FAIL_IF(lw->ctx, value->kind == OXP_VALUE_NODE, OXP_EINTERNAL,
                "value %u is read before it is lowered", v);
    return place_input(lw, v, layout);
}

/* A failure is kept for the end of the node: the place of the value is then meaningless but
 * readable. */
const oxp_place *oxp_lower_place(oxp_lower *lw, oxp_val v)
{
    const oxp_status status = settle(lw, v, OXP_LAYOUT_ANY);
    if (status != OXP_OK) lw->status = status;
    return &oxp_lower_at(lw, v)->place;
}

bool oxp_lower_is(oxp_lower *lw, oxp_val v, oxp_layout layout)
{
    return oxp_place_is(&oxp_lower_at(lw, v)->shape, oxp_lower_place(lw, v), layout);
}

/* ---- operands ---- */

static oxp_status new_val(oxp_lower *lw, const oxp_placed *like, oxp_val *out)
{
    oxp_fused *f = lw->f;
    oxp_arena *arena = lw->program->arena;
    oxp_placed *p = OXP_NEW(arena, oxp_placed, 1);
    OXP_FAIL_IF(lw->ctx,
                p == NULL ||
                    !oxp_arena_grow(arena, &f->vals, f->n_vals, &f->cap_vals, sizeof *f->vals),
                OXP_ENOMEM, "out of memory");
    *p = (oxp_placed){.storage = OXP_NO_STORAGE,
                      .dtype = like->dtype,
                      .shape = like->shape,
                      .last_node = like->last_node};
    *out = (oxp_val)f->n_vals;
    f->vals[f->n_vals++] = p;
    return OXP_OK;
}

static oxp_status permute_rows(float *dst, const float *src, void *user)
{
    const oxp_placed *p = user;
    const oxp_place rows = oxp_place_dense(&p->shape, OXP_LAYOUT_ROWS);
    oxp_host_copy(&p->shape, sizeof(float), src, rows.stride, dst, p->place.stride, 1);
    return OXP_OK;
}

static oxp_status constant_copy(oxp_lower *lw, oxp_placed *copy, const oxp_tensor *t)
{
    static const char key[] = "channels-last";
    size_t bytes;
    const void *data;
    uint32_t storage;
    OXP_TRY(value_bytes(lw, copy, &bytes));
    OXP_TRY(oxp_lower_weight(lw, t, key, sizeof key, bytes, permute_rows, copy, &data));
    OXP_TRY(new_storage(lw, bytes, data, &storage));
    const oxp_place place = copy->place;
    lie_in(lw, copy, storage, &place);
    return OXP_OK;
}

static oxp_status value_copy(oxp_lower *lw, oxp_val v, oxp_val copy)
{
    oxp_placed *p = oxp_lower_at(lw, copy);
    const oxp_place place = p->place;
    OXP_TRY(own_storage(lw, p, &place));
    const oxp_part from = oxp_lower_whole(lw, v), to = oxp_lower_whole(lw, copy);
    OXP_TRY(oxp_lower_copy(lw, &from, &to));
    oxp_step *step = &lw->f->steps[lw->f->n_steps - 1];
    step->what = "reorder";
    step->is_reorder = true;
    return OXP_OK;
}

oxp_status oxp_lower_operand(oxp_lower *lw, oxp_val v, oxp_layout layout, oxp_val *out)
{
    oxp_placed *p = oxp_lower_at(lw, v);
    const oxp_tensor *t = oxp_lower_constant(lw, v);
    const bool fresh_constant = t != NULL && p->dtype == OXP_F32;
    if (layout == OXP_LAYOUT_CHANNELS_LAST && fresh_constant) {
        const oxp_place rows = oxp_place_dense(&p->shape, OXP_LAYOUT_ROWS);
        if (oxp_place_is(&p->shape, &rows, layout)) layout = OXP_LAYOUT_ROWS;
    }
    if (layout != OXP_LAYOUT_CHANNELS_LAST || !fresh_constant) {
        OXP_TRY(settle(lw, v, layout));
        *out = v;
        if (oxp_place_is(&p->shape, &p->place, layout)) return OXP_OK;
    }
    oxp_val *memo = layout == OXP_LAYOUT_CHANNELS_LAST ? &p->channels_last : &p->rows;
    if (*memo == OXP_NO_VAL) {
        oxp_val copy;
        OXP_TRY(new_val(lw, p, &copy));
        oxp_lower_at(lw, copy)->place = oxp_place_dense(&p->shape, layout);
        if (fresh_constant && layout == OXP_LAYOUT_CHANNELS_LAST)
            OXP_TRY(constant_copy(lw, oxp_lower_at(lw, copy), t));
        else
            OXP_TRY(value_copy(lw, v, copy));
        *memo = copy;
    }
    *out = *memo;
    return OXP_OK;
}

/* ---- results ---- */

oxp_status oxp_lower_result(oxp_lower *lw, oxp_val v, oxp_layout layout)
{
    oxp_placed *p = oxp_lower_at(lw, v);
    if (oxp_is_placed(p)) return OXP_OK;
    const oxp_place place =
        oxp_place_dense(&p->shape, layout == OXP_LAYOUT_ANY ? OXP_LAYOUT_ROWS : layout);
    return own_storage(lw, p, &place);
}

oxp_status oxp_lower_result_at(oxp_lower *lw, oxp_val v, const oxp_place *place)
{
    oxp_placed *p = oxp_lower_at(lw, v);
    return oxp_is_placed(p) ? OXP_OK : own_storage(lw, p, place);
}

/* Does another input of the node lie in x's storage? Elementwise steps may share it in the same
 * place. */
static bool is_shared(oxp_lower *lw, const oxp_placed *x, bool elementwise)
{
    int times = 0;
    for (uint32_t i = 0; i < lw->node->n_in; i++) {
        if (lw->node->in[i] == OXP_NO_VAL) continue;
        const oxp_placed *other = oxp_lower_at(lw, lw->node->in[i]);
        if (other->storage != x->storage) continue;
        times++;
        if (!elementwise && times > 1) return true;
        if (!oxp_shape_equal(&other->shape, &x->shape) ||
            memcmp(&other->place, &x->place, sizeof x->place) != 0)
            return true;
    }
    return false;
}

/* May a result with these bytes and strides overwrite x? */
static bool can_take(oxp_lower *lw, oxp_val x, const oxp_placed *result, const oxp_place *place,
                     bool elementwise)
{
    const oxp_placed *p = oxp_lower_at(lw, x);
    size_t bytes;
    if (!oxp_is_placed(p) || p->dtype != result->dtype ||
        !oxp_shape_equal(&p->shape, &result->shape) || value_bytes(lw, p, &bytes) != OXP_OK)
        return false;
    const oxp_storage *s = &lw->f->storages[p->storage];
    if (s->constant != NULL || s->last_node > lw->position || s->phase != lw->phase ||
        s->bytes != bytes || p->place.offset != 0 || p->version != s->version)
        return false;
    for (int i = 0; i < p->shape.rank; i++)
        if (p->shape.dim[i] > 1 && p->place.stride[i] != place->stride[i]) return false;
    return !is_shared(lw, p, elementwise);
}

static void take(oxp_lower *lw, oxp_val x, oxp_placed *result, const oxp_place *place)
{
    const uint32_t storage = oxp_lower_at(lw, x)->storage;
    lw->f->storages[storage].version++;
    lie_in(lw, result, storage, place);
}

/* Channels-last where `like` is so and not rows as well. */
static oxp_layout layout_of(oxp_lower *lw, oxp_val like)
{
    return oxp_lower_is(lw, like, OXP_LAYOUT_CHANNELS_LAST) &&
                   !oxp_lower_is(lw, like, OXP_LAYOUT_ROWS)
               ? OXP_LAYOUT_CHANNELS_LAST
               : OXP_LAYOUT_ROWS;
}

static oxp_status place_like(oxp_lower *lw, oxp_val v, oxp_val like, oxp_place *place)
{
    const oxp_shape *shape = &oxp_lower_at(lw, v)->shape;
    OXP_TRY(settle(lw, like, OXP_LAYOUT_ANY));
    const oxp_placed *l = oxp_lower_at(lw, like);
    if (oxp_shape_equal(shape, &l->shape) && oxp_place_is(shape, &l->place, OXP_LAYOUT_ANY)) {
        *place = oxp_place_like(shape, &l->place);
        return OXP_OK;
    }
    oxp_layout layout = l->shape.rank == shape->rank ? layout_of(lw, like) : OXP_LAYOUT_ROWS;
    if (oxp_lower_wants_channels_last(lw, v)) layout = OXP_LAYOUT_CHANNELS_LAST;
    *place = oxp_place_dense(shape, layout);
    return OXP_OK;
}

oxp_status oxp_lower_result_like(oxp_lower *lw, oxp_val v, oxp_val like, oxp_val inplace_with)
{
    oxp_placed *p = oxp_lower_at(lw, v);
    oxp_place place;
    if (oxp_is_placed(p)) return OXP_OK;
    OXP_TRY(place_like(lw, v, like, &place));
    if (inplace_with == OXP_NO_VAL || !can_take(lw, inplace_with, p, &place, false))
        return own_storage(lw, p, &place);
    take(lw, inplace_with, p, &place);
    return OXP_OK;
}

oxp_status oxp_lower_alias(oxp_lower *lw, oxp_val v, oxp_val of, const oxp_place *place)
{
    OXP_TRY(settle(lw, of, OXP_LAYOUT_ANY));
    lie_in(lw, oxp_lower_at(lw, v), oxp_lower_at(lw, of)->storage, place);
    return OXP_OK;
}

/* ---- elementwise ---- */

/* The operand whose axis order the result takes: of the result's shape, channels-last first; else
 * any that says what its layout is; constants have no say. */
static oxp_status choose_like(oxp_lower *lw, const oxp_val *in, size_t n_in, oxp_val out,
                              oxp_val *like)
{
    const oxp_placed *result = oxp_lower_at(lw, out);
    int best = -1;
    *like = in[0];
    for (size_t i = 0; i < n_in; i++) {
        OXP_TRY(settle(lw, in[i], OXP_LAYOUT_ANY));
        const oxp_placed *p = oxp_lower_at(lw, in[i]);
        const bool same = oxp_shape_equal(&p->shape, &result->shape);
        const bool dense = oxp_place_is(&p->shape, &p->place, OXP_LAYOUT_ANY);
        const bool last = layout_of(lw, in[i]) == OXP_LAYOUT_CHANNELS_LAST;
        const int rank =
            oxp_lower_constant(lw, in[i]) != NULL ? 0 : same * 4 + dense * 2 + last + 1;
        if (rank > best) {
            best = rank;
            *like = in[i];
        }
    }
    return OXP_OK;
}

/* Operands of the result's shape in another order of axes: copied where the layout has a name. */
static oxp_status align(oxp_lower *lw, oxp_val *in, size_t n_in, const oxp_placed *result,
                        const oxp_place *place)
{
    const bool rows = oxp_place_is(&result->shape, place, OXP_LAYOUT_ROWS);
    const bool last = oxp_place_is(&result->shape, place, OXP_LAYOUT_CHANNELS_LAST);
    for (size_t i = 0; i < n_in; i++) {
        const oxp_placed *p = oxp_lower_at(lw, in[i]);
        const bool dense = oxp_place_is(&p->shape, &p->place, OXP_LAYOUT_ANY);
        if (!dense || !oxp_shape_equal(&p->shape, &result->shape)) continue;
        if (rows)
            OXP_TRY(oxp_lower_operand(lw, in[i], OXP_LAYOUT_ROWS, &in[i]));
        else if (last)
            OXP_TRY(oxp_lower_operand(lw, in[i], OXP_LAYOUT_CHANNELS_LAST, &in[i]));
    }
    return OXP_OK;
}

oxp_status oxp_lower_elementwise(oxp_lower *lw, oxp_val *in, size_t n_in, oxp_val out)
{
    oxp_placed *p = oxp_lower_at(lw, out);
    oxp_val like;
    oxp_place place;
    OXP_TRY(choose_like(lw, in, n_in, out, &like));
    if (oxp_is_placed(p)) return align(lw, in, n_in, p, &p->place);
    OXP_TRY(place_like(lw, out, like, &place));
    OXP_TRY(align(lw, in, n_in, p, &place));
    for (size_t i = 0; i < n_in; i++)
        if (can_take(lw, in[i], p, &place, true)) {
            take(lw, in[i], p, &place);
            return OXP_OK;
        }
    return own_storage(lw, p, &place);
}

void oxp_lower_strides(oxp_lower *lw, oxp_val v, const oxp_shape *shape,
                       int64_t stride[OXP_MAX_RANK])
{
    const oxp_placed *p = oxp_lower_at(lw, v);
    const int shift = shape->rank - p->shape.rank;
    for (int i = 0; i < shape->rank; i++)
        stride[i] = i < shift || p->shape.dim[i - shift] == 1 ? 0 : p->place.stride[i - shift];
}
