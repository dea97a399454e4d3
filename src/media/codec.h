/* codec.h - what image.c and the two decoders behind it share; private to media. */
#ifndef OXP_MEDIA_CODEC_H
#define OXP_MEDIA_CODEC_H

#include "media/image.h"

/* Checks the size a header claims against `max_pixels` and against the bytes that are there (no
 * JPEG or PNG packs 10000 pixels into a byte), then takes out->rgb. Sets width and height. */
oxp_status oxp_image_new(oxp_ctx *ctx, oxp_arena *arena, uint64_t width, uint64_t height,
                         size_t packed_bytes, uint64_t max_pixels, oxp_image *out);

/* Fill `out` but apply no orientation; out->orientation is what EXIF asks for. */
oxp_status oxp_jpeg_decode(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, uint64_t max_pixels,
                           oxp_image *out);
oxp_status oxp_png_decode(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, uint64_t max_pixels,
                          oxp_image *out);

/* EXIF orientation (tag 0x0112 of the first directory) from a TIFF structure, with or without the
 * "Exif\0\0" that precedes it in a JPEG's APP1; 1 when absent, out of range or damaged. */
int oxp_exif_orientation(oxp_bytes exif);

#endif
