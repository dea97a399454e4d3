/*
 * The typefaces that the render room draws titles and legends with, embedded at build time as whole
 * TrueType files: DejaVu Sans (fonts-dejavu-core; Bitstream Vera licence, free to embed). Nothing is
 * read from the system's fonts at run time. cmake/embed.cmake writes the definitions.
 */
#ifndef OXP_RENDER_FONT_DATA_H
#define OXP_RENDER_FONT_DATA_H

#include <stddef.h>

extern const unsigned char oxp_font_sans[]; /* for FT_New_Memory_Face */
extern const size_t oxp_font_sans_size;     /* bytes */
extern const unsigned char oxp_font_sans_bold[];
extern const size_t oxp_font_sans_bold_size;

#endif
