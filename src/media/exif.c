/* exif.c - the one EXIF field that changes pixels: orientation. A bounded reader of the TIFF
 * structure's first directory; anything damaged means "upright", since a photo is worth more
 * than its metadata. */
#include "media/codec.h"

#include <string.h>

#define TAG_ORIENTATION 0x0112u
#define TYPE_SHORT      3u

typedef struct tiff {
    oxp_bytes bytes;
    bool big_endian;
} tiff;

/* `width` (2 or 4) bytes at `at` as a number; false beyond the end. */
static bool read_number(const tiff *t, size_t at, size_t width, uint32_t *out)
{
    if (at > t->bytes.size || t->bytes.size - at < width) return false;
    uint32_t v = 0;
    for (size_t i = 0; i < width; i++) {
        const size_t from = t->big_endian ? i : width - 1 - i;
        v = v << 8 | t->bytes.data[at + from];
    }
    *out = v;
    return true;
}

int oxp_exif_orientation(oxp_bytes exif)
{
    tiff t = {exif, false};
    if (exif.size >= 6 && memcmp(exif.data, "Exif\0", 6) == 0) {
        t.bytes.data += 6;
        t.bytes.size -= 6;
    }
    if (t.bytes.size < 8) return 1;
    t.big_endian = t.bytes.data[0] == 'M';
    if (memcmp(t.bytes.data, t.big_endian ? "MM\0*" : "II*\0", 4) != 0) return 1;

    uint32_t directory, entries;
    if (!read_number(&t, 4, 4, &directory) || !read_number(&t, directory, 2, &entries)) return 1;
    for (uint32_t i = 0; i < entries; i++) {
        const size_t entry = (size_t)directory + 2 + (size_t)i * 12;
        uint32_t tag, type, count, value;
        if (!read_number(&t, entry, 2, &tag) || !read_number(&t, entry + 2, 2, &type) ||
            !read_number(&t, entry + 4, 4, &count) || !read_number(&t, entry + 8, 2, &value))
            return 1;
        if (tag == TAG_ORIENTATION)
            return type == TYPE_SHORT && count == 1 && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}
