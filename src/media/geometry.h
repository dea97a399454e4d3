/* geometry.h - where a model-input pixel lies in the original picture, and the way back for
 * maps. */
#ifndef OXP_MEDIA_GEOMETRY_H
#define OXP_MEDIA_GEOMETRY_H

#include <stdint.h>

/* Continuous coordinates: pixel i covers [i, i + 1). Input point (x, y) is picture point (left +
 * x scale_x, top + y scale_y); so the model sees the picture's box from (left, top) of
 * input_width scale_x by input_height scale_y pixels, which may reach beyond the picture
 * (padding). */
typedef struct oxp_geometry {
    int32_t picture_width, picture_height; /* upright */
    int32_t input_width, input_height;
    double left, top, scale_x, scale_y;
} oxp_geometry;

/* Brings a map that covers the model input evenly (at any resolution: an input's own or a
 * layer's grid) to the picture's resolution: out is (picture_height, picture_width). Linear
 * between the centres of the map's cells, border cells extended to the edge of the box; zero
 * where the model saw nothing. */
void oxp_geometry_restore(const oxp_geometry *geometry, const float *map, int64_t map_height,
                          int64_t map_width, float *out);

#endif
