/* jpeg.c - JPEG through libjpeg(-turbo): baseline and progressive; grey, YCbCr, RGB, CMYK, YCCK.
 *
 * libjpeg reports errors by calling back; the callback leaves by longjmp to the one setjmp
 * below. What changes in between lives in a `jpeg_job` outside that frame, whose locals a
 * longjmp may lose. Warnings that mean lost pixels count as errors. The default integer DCT and
 * smooth chroma upsampling are kept, since Pillow and the training pipelines use them. */
#include "media/codec.h"

#include <setjmp.h>
#include <stdio.h> /* jpeglib.h needs FILE */
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

/* A progressive file may ask for any number of passes over all pixels; real ones use about ten. */
#define MAX_SCANS 64

typedef struct jpeg_job {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr error;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    oxp_ctx *ctx;
    oxp_arena *arena;
    oxp_bytes bytes;
    uint64_t max_pixels;
    oxp_image *image;
    uint8_t *line;     /* (W, components) of one row as libjpeg gives it, where that is not RGB */
    oxp_status status; /* what made us leave, with its message already set */
} jpeg_job;

static void leave(jpeg_job *job, oxp_status status)
{
    job->status = status;
    longjmp(job->escape, 1);
}

static void on_error(j_common_ptr common)
{
    jpeg_job *job = common->client_data;
    char text[JMSG_LENGTH_MAX];
    common->err->format_message(common, text);
    const int code = common->err->msg_code;
    if (code == JERR_OUT_OF_MEMORY) leave(job, oxp_ctx_fail(job->ctx, OXP_ENOMEM, "out of memory"));
    if (code == JERR_IMAGE_TOO_BIG)
        leave(job, oxp_ctx_fail(job->ctx, OXP_ELIMIT, "JPEG picture is too large: %s", text));
    if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JERR_INPUT_EMPTY)
        leave(job, oxp_ctx_fail(job->ctx, OXP_ECORRUPT,
                                "JPEG is truncated: its data ends before the last row (%zu bytes)",
                                job->bytes.size));
    if (code == JERR_BAD_PRECISION || code == JERR_SOF_UNSUPPORTED || code == JERR_ARITH_NOTIMPL ||
        code == JERR_CONVERSION_NOTIMPL)
        leave(job, oxp_ctx_fail(job->ctx, OXP_EUNSUPPORTED,
                                "this kind of JPEG cannot be read: %s (convert it first)", text));
    leave(job, oxp_ctx_fail(job->ctx, OXP_ECORRUPT, "JPEG is damaged: %s", text));
}

/* level < 0: a warning about the data; otherwise tracing, which nobody asked for. */
static void on_message(j_common_ptr common, int level)
{
    if (level >= 0) return;
    switch (common->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA: /* padding between segments, written by many cameras */
    case JWRN_JFIF_MAJOR:
    case JWRN_ADOBE_XFORM:
    case JWRN_TOO_MUCH_DATA:
        return;
    default:
        on_error(common);
    }
}

static void on_progress(j_common_ptr common)
{
    jpeg_job *job = common->client_data;
    if (job->jpeg.input_scan_number > MAX_SCANS)
        leave(job, oxp_ctx_fail(job->ctx, OXP_ELIMIT,
                                "JPEG has more than %d progressive scans: refused", MAX_SCANS));
}

static void find_orientation(jpeg_job *job)
{
    job->image->orientation = 1;
    for (jpeg_saved_marker_ptr m = job->jpeg.marker_list; m; m = m->next)
        if (m->data_length >= 6 && memcmp(m->data, "Exif\0", 6) == 0) {
            job->image->orientation = oxp_exif_orientation((oxp_bytes){m->data, m->data_length});
            return;
        }
}

/* R = k - (255 - c) k / 255, rounded, where c and k are stored inverted (255 - ink), as Adobe
 * writes them. */
static void cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, int32_t width)
{
    for (int32_t x = 0; x < width; x++, cmyk += 4, rgb += 3)
        for (int c = 0; c < 3; c++) {
            const int product = (255 - cmyk[c]) * cmyk[3] + 128;
            rgb[c] = (uint8_t)(cmyk[3] - ((product + (product >> 8)) >> 8));
        }
}

static void spread_grey(const uint8_t *grey, uint8_t *rgb, int32_t width)
{
    for (int32_t x = 0; x < width; x++) memset(rgb + 3 * (size_t)x, grey[x], 3);
}

static void read_rows(jpeg_job *job)
{
    struct jpeg_decompress_struct *jpeg = &job->jpeg;
    const size_t stride = (size_t)job->image->width * 3;
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *rgb = job->image->rgb + jpeg->output_scanline * stride;
        JSAMPROW row = job->line ? job->line : rgb;
        jpeg_read_scanlines(jpeg, &row, 1);
        if (jpeg->out_color_space == JCS_CMYK) cmyk_to_rgb(row, rgb, job->image->width);
        if (jpeg->out_color_space == JCS_GRAYSCALE) spread_grey(row, rgb, job->image->width);
    }
}

/* Everything that may longjmp. */
static void decode(jpeg_job *job)
{
    struct jpeg_decompress_struct *jpeg = &job->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->client_data = job;
    jpeg->progress = &job->progress;
    jpeg_mem_src(jpeg, job->bytes.data, (unsigned long)job->bytes.size);
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(jpeg, TRUE);
    find_orientation(job);

    oxp_status status = oxp_image_new(job->ctx, job->arena, jpeg->image_width, jpeg->image_height,
                                      job->bytes.size, job->max_pixels, job->image);
    if (status != OXP_OK) leave(job, status);
    job->image->was_grey = jpeg->jpeg_color_space == JCS_GRAYSCALE;
    if (job->image->was_grey)
        jpeg->out_color_space = JCS_GRAYSCALE;
    else if (jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK)
        jpeg->out_color_space = JCS_CMYK;
    else
        jpeg->out_color_space = JCS_RGB;
    if (jpeg->out_color_space != JCS_RGB) {
        job->line = oxp_arena_alloc(job->ctx->scratch, jpeg->image_width, 4);
        if (!job->line) leave(job, oxp_ctx_fail(job->ctx, OXP_ENOMEM, "out of memory"));
    }
    jpeg_start_decompress(jpeg);
    read_rows(job);
}

oxp_status oxp_jpeg_decode(oxp_ctx *ctx, oxp_arena *arena, oxp_bytes bytes, uint64_t max_pixels,
                           oxp_image *out)
{
    jpeg_job *job = OXP_NEW(ctx->scratch, jpeg_job, 1);
    OXP_NOMEM_IF(ctx, job);
    job->ctx = ctx;
    job->arena = arena;
    job->bytes = bytes;
    job->max_pixels = max_pixels;
    job->image = out;
    job->jpeg.err = jpeg_std_error(&job->error);
    job->jpeg.client_data = job;
    job->error.error_exit = on_error;
    job->error.emit_message = on_message;
    job->progress.progress_monitor = on_progress;
    if (setjmp(job->escape) == 0) decode(job);
    jpeg_destroy_decompress(&job->jpeg);
    return job->status;
}
