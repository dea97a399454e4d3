/* weights.c - the constant store of a model: constants in the forms that kernels want.
 *
 * An entry is known by the tensor's bytes (address, dtype, shape) and a key that names the form.
 * It is built once, under the store's lock, and never changes afterwards, so programs on any
 * thread read it without locking. Programs hold the entries they use. An entry of a kept constant
 * (the model's own, see oxp_weights_keep) stays for the next program; one of a constant made
 * while compiling goes with its last holder, since its address may be used again for something
 * else. */
#include "base/checked.h"
#include "exec/step.h"
#include <pthread.h>
#include <string.h>

enum { TABLE_SIZE = 1024, ROW_ALIGN = 64 };

typedef struct oxp_weight_entry {
    struct oxp_weight_entry *next;
    uint64_t hash;
    oxp_tensor tensor; /* by value: the struct may be gone before the bytes */
    size_t key_size, bytes;
    uint32_t holders;
    bool kept;
    void *data;
    unsigned char key[]; /* key_size */
} weight_entry;

struct oxp_weights {
    pthread_mutex_t lock;
    const oxp_allocator *hooks;
    oxp_allocator hooks_copy;
    weight_entry *table[TABLE_SIZE];
    oxp_arena *kept_arena;
    const void **kept; /* addresses of kept constants, open addressing */
    size_t kept_cap, kept_n;
    size_t bytes;
};

oxp_weights *oxp_weights_new(const oxp_allocator *hooks)
{
    oxp_weights *w = oxp_mem_alloc(hooks, sizeof *w);
    if (w == NULL) return NULL;
    memset(w, 0, sizeof *w);
    if (hooks != NULL) {
        w->hooks_copy = *hooks;
        w->hooks = &w->hooks_copy;
    }
    w->kept_arena = oxp_arena_new(w->hooks);
    if (w->kept_arena == NULL || pthread_mutex_init(&w->lock, NULL) != 0) {
        oxp_arena_free(w->kept_arena);
        oxp_mem_free(hooks, w);
        return NULL;
    }
    return w;
}

static void entry_free(oxp_weights *w, weight_entry *e)
{
    w->bytes -= e->bytes;
    oxp_mem_free(w->hooks, e->data);
    oxp_mem_free(w->hooks, e);
}

void oxp_weights_free(oxp_weights *w)
{
    if (w == NULL) return;
    for (size_t i = 0; i < TABLE_SIZE; i++)
        while (w->table[i] != NULL) {
            weight_entry *e = w->table[i];
            w->table[i] = e->next;
            entry_free(w, e);
        }
    oxp_arena_free(w->kept_arena);
    pthread_mutex_destroy(&w->lock);
    const oxp_allocator hooks = w->hooks_copy;
    oxp_mem_free(w->hooks != NULL ? &hooks : NULL, w);
}

size_t oxp_weights_bytes(const oxp_weights *w)
{
    oxp_weights *locked = (oxp_weights *)(uintptr_t)w;
    pthread_mutex_lock(&locked->lock);
    const size_t bytes = w->bytes;
    pthread_mutex_unlock(&locked->lock);
    return bytes;
}

/* ---- which constants are kept ---- */

static uint64_t hash_bytes(uint64_t h, const void *p, size_t n)
{
    const unsigned char *b = p;
    for (size_t i = 0; i < n; i++) h = (h ^ b[i]) * 0x100000001b3u; /* FNV-1a */
    return h;
}

static size_t kept_slot(const void *const *slots, size_t cap, const void *address)
{
    size_t i =
        (size_t)(hash_bytes(0xcbf29ce484222325u, &address, sizeof address) >> 16) & (cap - 1);
    while (slots[i] != NULL && slots[i] != address) i = (i + 1) & (cap - 1);
    return i;
}

static bool is_kept(const oxp_weights *w, const void *address)
{
    return w->kept_cap != 0 && w->kept[kept_slot(w->kept, w->kept_cap, address)] != NULL;
}

static bool kept_reserve(oxp_weights *w, size_t more)
{
    size_t cap = w->kept_cap != 0 ? w->kept_cap : 64;
    while (cap / 2 < w->kept_n + more) cap *= 2;
    if (cap == w->kept_cap) return true;
    const void **slots = OXP_NEW(w->kept_arena, const void *, cap);
    if (slots == NULL) return false;
    for (size_t i = 0; i < w->kept_cap; i++)
        if (w->kept[i] != NULL) slots[kept_slot(slots, cap, w->kept[i])] = w->kept[i];
    w->kept = slots;
    w->kept_cap = cap;
    return true;
}

oxp_status oxp_weights_keep(oxp_ctx *ctx, oxp_weights *w, const oxp_graph *model)
{
    pthread_mutex_lock(&w->lock);
    const bool ok = kept_reserve(w, model->n_values);
    for (size_t v = 1; ok && v < model->n_values; v++) {
        const oxp_tensor *t = model->values[v]->constant;
        if (t == NULL || t->data == NULL) continue;
        const size_t slot = kept_slot(w->kept, w->kept_cap, t->data);
        w->kept_n += w->kept[slot] == NULL;
        w->kept[slot] = t->data;
    }
    pthread_mutex_unlock(&w->lock);
    OXP_FAIL_IF(ctx, !ok, OXP_ENOMEM, "out of memory");
    return OXP_OK;
}

/* ---- entries ---- */

typedef struct form { /* what is asked for */
    const oxp_tensor *t;
    const void *key;
    size_t key_size, bytes;
    oxp_dtype dtype; /* of dense rows; NONE: float rows go through `fill` */
    oxp_weight_fill fill;
    void *user;
} form;

static weight_entry *find(const oxp_weights *w, const form *f, uint64_t hash)
{
    for (weight_entry *e = w->table[hash % TABLE_SIZE]; e != NULL; e = e->next)
        if (e->hash == hash && e->tensor.data == f->t->data && e->tensor.dtype == f->t->dtype &&
            e->bytes == f->bytes && e->key_size == f->key_size &&
            oxp_shape_equal(&e->tensor.shape, &f->t->shape) &&
            memcmp(e->key, f->key, f->key_size) == 0)
            return e;
    return NULL;
}

/* Float rows of t: its own when it has them, else converted into *owned. */
static oxp_status float_rows(const oxp_weights *w, const oxp_tensor *t, const float **rows,
                             void **owned)
{
    const int64_t n = oxp_shape_elements(&t->shape);
    *owned = NULL;
    *rows = t->data;
    if (t->dtype == OXP_F32 && (uintptr_t)t->data % sizeof(float) == 0) return OXP_OK;
    float *converted = oxp_mem_alloc(w->hooks, (size_t)n * sizeof(float));
    if (converted == NULL) return OXP_ENOMEM;
    oxp_convert(converted, OXP_F32, t->data, t->dtype, n);
    *rows = *owned = converted;
    return OXP_OK;
}

static oxp_status build(const oxp_weights *w, const form *f, void *data)
{
    if (f->dtype != OXP_DTYPE_NONE) {
        oxp_convert(data, f->dtype, f->t->data, f->t->dtype, oxp_shape_elements(&f->t->shape));
        return OXP_OK;
    }
    const float *rows;
    void *owned;
    OXP_TRY(float_rows(w, f->t, &rows, &owned));
    const oxp_status status = f->fill(data, rows, f->user);
    oxp_mem_free(w->hooks, owned);
    return status;
}

static oxp_status insert(oxp_weights *w, const form *f, uint64_t hash, weight_entry **out)
{
    size_t size;
    if (!oxp_add_size(sizeof(weight_entry), f->key_size, &size)) return OXP_ENOMEM;
    weight_entry *e = oxp_mem_alloc(w->hooks, size);
    if (e == NULL) return OXP_ENOMEM;
    *e = (weight_entry){.hash = hash, .tensor = *f->t, .key_size = f->key_size, .bytes = f->bytes};
    if (f->key_size != 0) memcpy(e->key, f->key, f->key_size);
    e->kept = is_kept(w, f->t->data);
    e->data = oxp_mem_alloc(w->hooks, f->bytes);
    const oxp_status status = e->data != NULL ? build(w, f, e->data) : OXP_ENOMEM;
    w->bytes += e->bytes;
    if (status != OXP_OK) {
        entry_free(w, e);
        return status;
    }
    e->next = w->table[hash % TABLE_SIZE];
    w->table[hash % TABLE_SIZE] = e;
    *out = e;
    return OXP_OK;
}

/* The entry, built if absent, held once more by the program. */
static oxp_status hold(oxp_lower *lw, const form *f, const void **out)
{
    oxp_weights *w = lw->program->weights;
    oxp_weight_refs *refs = &lw->program->refs;
    OXP_FAIL_IF(lw->ctx,
                !oxp_arena_grow(lw->program->arena, &refs->entries, refs->n, &refs->cap,
                                sizeof *refs->entries),
                OXP_ENOMEM, "out of memory");
    uint64_t hash = hash_bytes(0xcbf29ce484222325u, &f->t->data, sizeof f->t->data);
    hash = hash_bytes(hash, f->key, f->key_size);
    pthread_mutex_lock(&w->lock);
    weight_entry *e = find(w, f, hash);
    const oxp_status status = e == NULL ? insert(w, f, hash, &e) : OXP_OK;
    if (status == OXP_OK) e->holders++;
    pthread_mutex_unlock(&w->lock);
    OXP_FAIL_IF(lw->ctx, status == OXP_ENOMEM, status, "out of memory");
    OXP_FAIL_IF(lw->ctx, status != OXP_OK, status, "a constant cannot be packed for its kernel");
    refs->entries[refs->n++] = e;
    *out = e->data;
    return OXP_OK;
}

void oxp_weights_release(oxp_weights *w, oxp_weight_refs *refs)
{
    if (refs->n == 0) return;
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < refs->n; i++) {
        weight_entry *e = refs->entries[i];
        if (--e->holders != 0 || e->kept) continue;
        weight_entry **at = &w->table[e->hash % TABLE_SIZE];
        while (*at != e) at = &(*at)->next;
        *at = e->next;
        entry_free(w, e);
    }
    refs->n = 0;
    pthread_mutex_unlock(&w->lock);
}

oxp_status oxp_lower_weight(oxp_lower *lw, const oxp_tensor *t, const void *key, size_t key_size,
                            size_t bytes, oxp_weight_fill fill, void *user, const void **out)
{
    const form f = {t, key, key_size, bytes, OXP_DTYPE_NONE, fill, user};
    return hold(lw, &f, out);
}

oxp_status oxp_lower_weight_rows(oxp_lower *lw, const oxp_tensor *t, oxp_dtype dtype,
                                 const void **out)
{
    if (t->dtype == dtype && (uintptr_t)t->data % ROW_ALIGN == 0) {
        *out = t->data;
        return OXP_OK;
    }
    static const char rows[] = "rows";
    const size_t bytes = (size_t)oxp_shape_elements(&t->shape) * oxp_dtype_size(dtype);
    const form f = {t, rows, sizeof rows, bytes, dtype, NULL, NULL};
    return hold(lw, &f, out);
}
