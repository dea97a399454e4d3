/* png.c - PNG through libpng: every colour type and depth, interlaced or not, brought to 8-bit
 * RGB.
 *
 * libpng's row transforms do the work. As in jpeg.c, what changes under the one setjmp lives
 * outside its frame. Files are read to IEND, so that a damaged last chunk is noticed. */
#include "media/codec.h"

#include <setjmp.h>
#include <string.h>

#include <png.h>

typedef struct png_job {
    png_structp png;
    png_infop info;
    oxp_ctx *ctx;
    oxp_arena *arena;
    oxp_bytes rest; /* what libpng has not read yet */
    size_t size;
    uint64_t max_pixels;
    oxp_image *image;
    oxp_status status;
} png_job;

static void leave(png_job *job, oxp_status status)
{
    job->status = status;
    png_longjmp(job->png, 1);
}

static void on_error(png_structp png, png_const_charp text)
{
    png_job *job = png_get_error_ptr(png);
    job->status = oxp_ctx_fail(job->ctx, OXP_ECORRUPT, "PNG is damaged: %s", text);
    png_longjmp(png, 1);
}

/* Warnings concern metadata that is not used. */
static void on_warning(png_structp png, png_const_charp text)
{
    png_job *job = png_get_error_ptr(png);
    oxp_ctx_log(job->ctx, "media", "PNG: %s", text);
}

static void read_bytes(png_structp png, png_bytep to, size_t n)
{
    png_job *job = png_get_io_ptr(png);
    if (n > job->rest.size)
        leave(job, oxp_ctx_fail(job->ctx, OXP_ECORRUPT,
                                "PNG is truncated: its data ends early (%zu bytes)", job->size));
    memcpy(to, job->rest.data, n);
    job->rest.data += n;
    job->rest.size -= n;
}

/* Any colour type to 8-bit RGB, without alpha; returns the number of passes over the rows. */
static int set_transforms(png_job *job)
{
    png_structp png = job->png;
    const png_byte type = png_get_color_type(png, job->info);
    job->image->was_grey = !(type & PNG_COLOR_MASK_COLOR);
    job->image->had_alpha =
        (type & PNG_COLOR_MASK_ALPHA) != 0 || png_get_valid(png, job->info, PNG_INFO_tRNS) != 0;
    png_set_strip_16(png);
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
    if (job->image->was_grey) png_set_gray_to_rgb(png);
    png_set_strip_alpha(png);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, job->info);
    return passes;
}

static void decode(png_job *job)
{
    png_structp png = job->png;
    png_set_read_fn(png, job, read_bytes);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* oxp_image_new is the judge */
    png_read_info(png, job->info);
    oxp_status status =
        oxp_image_new(job->ctx, job->arena, png_get_image_width(png, job->info),
                      png_get_image_height(png, job->info), job->size, job->max_pixels, job->image);
    if (status != OXP_OK) leave(job, status);

    const int passes = set_transforms(job);
    const size_t stride = (size_t)job->image->width * 3;
    if (png_get_rowbytes(png, job->info) != stride)
        leave(job, oxp_ctx_fail(job->ctx, OXP_EINTERNAL, "PNG rows are not RGB after conversion"));
    for (int pass = 0; pass < passes; pass++)
        for (int32_t y = 0; y < job->image->height; y++)
            png_read_row(png, job->image->rgb + (size_t)y * stride, NULL);
    png_read_end(png, job->info);

    png_uint_32 size = 0;
    png_bytep exif = NULL;
    job->image->orientation = 1;
    if (png_get_eXIf_1(png, job->info, &size, &exif) && exif)
        job->image->orientation = oxp_exif_orientation((oxp_bytes){exif, size});
}

oxp_status oxp_png_decode(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, uint64_t max_pixels,
                          oxp_image *out)
{
    png_job *job = OXP_NEW(ctx->scratch, png_job, 1);
    OXP_NOMEM_IF(ctx, job);
    job->ctx = ctx;
    job->arena = arena;
    job->rest = bytes;
    job->size = bytes.size;
    job->max_pixels = max_pixels;
    job->image = out;
    job->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, job, on_error, on_warning);
    OXP_NOMEM_IF(ctx, job->png);
    job->info = png_create_info_struct(job->png);
    if (!job->info)
        job->status = oxp_ctx_fail(ctx, OXP_ENOMEM, "out of memory");
    else if (setjmp(png_jmpbuf(job->png)) == 0)
        decode(job);
    png_destroy_read_struct(&job->png, &job->info, NULL);
    return job->status;
}
