/* png.h - pictures to PNG bytes, and nothing else: no files, no reading.
 *
 * The same pixels and texts always give the same bytes: no time stamp, fixed compression
 * settings. */
#ifndef OXP_RENDER_PNG_H
#define OXP_RENDER_PNG_H

#include "base/file.h"
#include "render/canvas.h"

/* A note inside the file ("Software", "onnxplain 0.1.0"). key: 1-79 characters of printable ASCII;
 * value: UTF-8. */
typedef struct oxp_png_text {
    const char *key, *value;
} oxp_png_text;

oxp_status oxp_png_encode(oxp_ctx *ctx, oxp_arena *arena, const oxp_picture *picture,
                          const oxp_png_text *texts, size_t n_texts, oxp_bytes *out);

#endif
