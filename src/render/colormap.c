/* colormap.c - see colormap.h. Tables are computed when a map is looked up: 257 entries, once per
 * picture. */
#include "render/colormap.h"
#include "base/strmap.h"
#include <math.h>
#include <string.h>

#define SEQUENTIAL   OXP_SEQUENTIAL
#define DIVERGING    OXP_DIVERGING
#define MAX_CONTROLS 9

typedef struct colormap_def {
    const char *name;
    oxp_colormap_kind kind;
    int n;
    uint32_t control[MAX_CONTROLS];
} colormap_def;

#define CONTROLS(...)                                            \
    (int)(sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)), \
    {                                                            \
        __VA_ARGS__                                              \
    }
#define OXP_COLORMAP(id, name, kind, sentence, ...) {name, kind, CONTROLS(__VA_ARGS__)},
static const colormap_def table[] = {
#include "render/colormaps.def"
};
#undef OXP_COLORMAP

#define OXP_COLORMAP(id, name, kind, sentence, ...) "," name
static const char list[] =
#include "render/colormaps.def"
    ;
#undef OXP_COLORMAP

size_t oxp_colormap_count(void)
{
    return OXP_COUNT(table);
}
const char *oxp_colormap_name(size_t index)
{
    return table[index].name;
}
const char *oxp_colormap_list(void)
{
    return list + 1;
}

typedef struct lab {
    double L, a, b;
} lab;

static double linear_of(uint8_t v)
{
    const double c = v / 255.0;
    return c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4);
}

static uint8_t srgb_of(double linear)
{
    const double l = fmin(fmax(linear, 0), 1);
    const double c = l <= 0.0031308 ? 12.92 * l : 1.055 * pow(l, 1 / 2.4) - 0.055;
    return (uint8_t)(c * 255 + 0.5);
}

/* linear sRGB -> cone responses -> cube roots -> Lab; the matrices are those of Ottosson, "A
 * perceptual color space for image processing" (2020). */
static lab lab_of(oxp_rgba c)
{
    const double r = linear_of(c.r), g = linear_of(c.g), b = linear_of(c.b);
    const double l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
    const double m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
    const double s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
    return (lab){0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
                 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
                 0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s};
}

static void rgb_of(lab c, uint8_t rgb[3])
{
    const double l = pow(c.L + 0.3963377774 * c.a + 0.2158037573 * c.b, 3);
    const double m = pow(c.L - 0.1055613458 * c.a - 0.0638541728 * c.b, 3);
    const double s = pow(c.L - 0.0894841775 * c.a - 1.2914855480 * c.b, 3);
    rgb[0] = srgb_of(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s);
    rgb[1] = srgb_of(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s);
    rgb[2] = srgb_of(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s);
}

double oxp_lightness(oxp_rgba colour)
{
    return lab_of(colour).L;
}

/* The colour at t in [0,1] of a chain of n colours whose lightness is monotonic:
 * L = L_0 + t (L_(n-1) - L_0); the other two axes are interpolated in the segment that holds L. */
static lab chain_at(const lab *chain, int n, double t)
{
    const double L = chain[0].L + t * (chain[n - 1].L - chain[0].L);
    const double sign = chain[n - 1].L > chain[0].L ? 1 : -1;
    int i = 0;
    while (i < n - 2 && sign * (L - chain[i + 1].L) > 0) i++;
    const double f = (L - chain[i].L) / (chain[i + 1].L - chain[i].L);
    return (lab){L, chain[i].a + f * (chain[i + 1].a - chain[i].a),
                 chain[i].b + f * (chain[i + 1].b - chain[i].b)};
}

static void fill(const colormap_def *def, oxp_colormap *out)
{
    lab chain[MAX_CONTROLS];
    for (int i = 0; i < def->n; i++) chain[i] = lab_of(OXP_HEX(def->control[i]));
    const int last = OXP_COLORMAP_STEPS - 1, mid = def->n / 2;
    for (int i = 0; i <= last; i++) {
        const double t = (double)i / last;
        lab c;
        if (def->kind == OXP_SEQUENTIAL)
            c = chain_at(chain, def->n, t);
        else if (2 * i <= last)
            c = chain_at(chain, mid + 1, 2 * t);
        else
            c = chain_at(chain + mid, mid + 1, 2 * t - 1);
        rgb_of(c, out->rgb[i]);
    }
    out->name = def->name;
    out->kind = def->kind;
}

oxp_status oxp_colormap_find(oxp_ctx *ctx, const char *name, oxp_colormap_kind kind,
                             oxp_colormap *out)
{
    const bool any = name == NULL || name[0] == '\0';
    const char *names[OXP_COUNT(table)];
    for (size_t i = 0; i < OXP_COUNT(table); i++) {
        names[i] = table[i].name;
        if (any ? table[i].kind != kind : strcmp(table[i].name, name) != 0) continue;
        fill(&table[i], out);
        return OXP_OK;
    }
    const int near = oxp_nearest_name(name, names, OXP_COUNT(table));
    OXP_FAIL(ctx, OXP_EINVAL, "no colour map '%s'%s%s%s; there are %s", name,
             near < 0 ? "" : ", did you mean '", near < 0 ? "" : names[near], near < 0 ? "" : "'",
             oxp_colormap_list());
}

oxp_rgba oxp_colormap_at(const oxp_colormap *map, float v)
{
    if (isnan(v)) return OXP_BAD_COLOUR;
    const float t = map->kind == OXP_DIVERGING ? (v + 1) / 2 : v;
    const float clamped = t < 0 ? 0 : t > 1 ? 1 : t;
    const uint8_t *rgb = map->rgb[(int)(clamped * (OXP_COLORMAP_STEPS - 1) + 0.5f)];
    return (oxp_rgba){rgb[0], rgb[1], rgb[2], 255};
}

float oxp_colormap_alpha(const oxp_colormap *map, float v, float strongest)
{
    const float opaque = map->kind == OXP_DIVERGING ? 0.35f : 0.65f;
    const float t = fminf(fabsf(v) / opaque, 1); /* smoothstep */
    return strongest * t * t * (3 - 2 * t);
}
