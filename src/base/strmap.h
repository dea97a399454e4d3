/* strmap.h - string -> uint32 hash map in an arena (open addressing). Keys are borrowed and must
 * outlive the map. */
#ifndef OXP_BASE_STRMAP_H
#define OXP_BASE_STRMAP_H

#include "base/mem.h"
#include <stdint.h>

typedef struct oxp_strmap {
    oxp_arena *arena;
    struct oxp_strmap_slot *slots;
    size_t n, cap;
} oxp_strmap;

void oxp_strmap_init(oxp_strmap *map, oxp_arena *arena);
bool oxp_strmap_put(oxp_strmap *map, const char *key,
                    uint32_t value); /* replaces; false when out of memory */
bool oxp_strmap_get(const oxp_strmap *map, const char *key, uint32_t *value);

/* Edit distance based: index of the nearest of n names (for "did you mean"), or -1 when none is
 * near. */
int oxp_nearest_name(const char *wanted, const char *const *names, size_t n);

#endif
