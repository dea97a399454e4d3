/* strmap.c - string -> uint32 hash map (open addressing, linear probing), and the nearest name for
 * "did you mean".
 *
 * The hash is seeded by the map's address: names come from files, and a file must not be able to
 * choose names that all collide. Nothing iterates over a map, so the seed cannot show in any
 * result. Entries are never removed. */
#include "base/strmap.h"
#include "base/checked.h"
#include <ctype.h>
#include <string.h>

struct oxp_strmap_slot {
    const char *key; /* NULL: free */
    uint64_t hash;
    uint32_t value;
};

void oxp_strmap_init(oxp_strmap *map, oxp_arena *arena)
{
    *map = (oxp_strmap){.arena = arena};
}

/* FNV-1a from a seeded state, then a finalizer that spreads the high bits downwards. */
static uint64_t hash_key(const oxp_strmap *map, const char *key)
{
    uint64_t h = 0xcbf29ce484222325u ^ ((uint64_t)(uintptr_t)map->slots * 0x9e3779b97f4a7c15u);
    for (; *key != '\0'; key++) h = (h ^ (unsigned char)*key) * 0x100000001b3u;
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
    return h ^ (h >> 33);
}

/* The slot that holds key, or the free one where it belongs. cap is a power of two, never full. */
static struct oxp_strmap_slot *find_slot(const oxp_strmap *map, const char *key, uint64_t hash)
{
    size_t i = (size_t)hash & (map->cap - 1);
    for (;; i = (i + 1) & (map->cap - 1)) {
        struct oxp_strmap_slot *s = &map->slots[i];
        if (s->key == NULL || (s->hash == hash && strcmp(s->key, key) == 0)) return s;
    }
}

static bool grow(oxp_strmap *map)
{
    size_t cap = 16;
    if (map->cap != 0 && !oxp_mul_size(map->cap, 2, &cap)) return false;
    oxp_strmap bigger = *map;
    bigger.cap = cap;
    bigger.slots = OXP_NEW(map->arena, struct oxp_strmap_slot, cap);
    if (bigger.slots == NULL) return false;
    for (size_t i = 0; i < map->cap; i++) {
        const struct oxp_strmap_slot *s = &map->slots[i];
        if (s->key == NULL) continue;
        const uint64_t hash = hash_key(&bigger, s->key);
        *find_slot(&bigger, s->key, hash) = (struct oxp_strmap_slot){s->key, hash, s->value};
    }
    *map = bigger;
    return true;
}

bool oxp_strmap_put(oxp_strmap *map, const char *key, uint32_t value)
{
    if (map->n >= map->cap - map->cap / 4 && !grow(map)) return false;
    const uint64_t hash = hash_key(map, key);
    struct oxp_strmap_slot *s = find_slot(map, key, hash);
    map->n += s->key == NULL;
    *s = (struct oxp_strmap_slot){s->key != NULL ? s->key : key, hash, value};
    return true;
}

bool oxp_strmap_get(const oxp_strmap *map, const char *key, uint32_t *value)
{
    if (map->n == 0) return false;
    const struct oxp_strmap_slot *s = find_slot(map, key, hash_key(map, key));
    if (s->key != NULL && value != NULL) *value = s->value;
    return s->key != NULL;
}

enum { NAME_MAX_LEN = 127 };

/* Letters of either case and the separators people mix up cost nothing. */
static int fold(char c)
{
    return c == '_' || c == ' ' ? '-' : tolower((unsigned char)c);
}

/* Levenshtein distance of a[0..na) and b[0..nb), or limit + 1 as soon as it is certain to exceed
 * limit. */
static size_t edit_distance(const char *a, size_t na, const char *b, size_t nb, size_t limit)
{
    size_t row[NAME_MAX_LEN + 1];
    for (size_t j = 0; j <= nb; j++) row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0], least = row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            const size_t above = row[j];
            size_t d = diagonal + (fold(a[i - 1]) != fold(b[j - 1]));
            d = d < above + 1 ? d : above + 1;
            d = d < row[j - 1] + 1 ? d : row[j - 1] + 1;
            diagonal = above;
            row[j] = d;
            least = d < least ? d : least;
        }
        if (least > limit) return limit + 1;
    }
    return row[nb];
}

int oxp_nearest_name(const char *wanted, const char *const *names, size_t n)
{
    const size_t len = strlen(wanted);
    if (len == 0 || len > NAME_MAX_LEN) return -1;
    size_t best = (len > 5 ? len / 3 : 1) + 1; /* the smallest distance not called near any more */
    int nearest = -1;
    for (size_t i = 0; i < n && best > 0; i++) {
        const size_t m = strlen(names[i]);
        if (m > NAME_MAX_LEN || (m > len ? m - len : len - m) >= best) continue;
        const size_t d = edit_distance(wanted, len, names[i], m, best - 1);
        if (d < best && d < m) {
            best = d;
            nearest = (int)i;
        }
    }
    return nearest;
}
