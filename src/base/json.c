/* json.c - see json.h. Separators and indentation are decided in one place, `before_value`, so that
 * the public calls are one line each. */
#include "base/json.h"
#include "base/parse.h"
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void oxp_json_init(oxp_json *json, oxp_strbuf *out, int indent)
{
    *json = (oxp_json){.out = out, .indent = indent};
}

bool oxp_json_ok(const oxp_json *json)
{
    return json->done && json->depth == 0 && !json->misused;
}

static uint32_t level_bit(const oxp_json *json)
{
    return (uint32_t)1 << (json->depth - 1);
}

static bool inside_object(const oxp_json *json)
{
    return json->depth > 0 && (json->in_object & level_bit(json)) != 0;
}

static void new_line(oxp_json *json)
{
    if (json->indent <= 0) return;
    oxp_strbuf_add(json->out, "\n", 1);
    for (int i = 0; i < json->depth * json->indent; i++) oxp_strbuf_add(json->out, " ", 1);
}

/* The comma and line break that part an item from the one before it. */
static void separate(oxp_json *json)
{
    if (json->depth == 0) return;
    if ((json->has_items & level_bit(json)) != 0) oxp_strbuf_add(json->out, ",", 1);
    json->has_items |= level_bit(json);
    new_line(json);
}

static void before_value(oxp_json *json)
{
    if (json->after_key) {
        json->after_key = false;
        return;
    }
    if (inside_object(json) || json->done) json->misused = true;
    separate(json);
}

static void after_value(oxp_json *json)
{
    if (json->depth == 0) json->done = true;
}

static void literal(oxp_json *json, const char *text)
{
    before_value(json);
    oxp_strbuf_puts(json->out, text);
    after_value(json);
}

static void begin(oxp_json *json, bool object)
{
    if (json->depth == OXP_JSON_MAX_DEPTH) {
        json->misused = true;
        return;
    }
    before_value(json);
    oxp_strbuf_add(json->out, object ? "{" : "[", 1);
    json->depth++;
    json->has_items &= ~level_bit(json);
    if (object)
        json->in_object |= level_bit(json);
    else
        json->in_object &= ~level_bit(json);
}

static void end(oxp_json *json, bool object)
{
    if (json->depth == 0 || inside_object(json) != object || json->after_key) {
        json->misused = true;
        return;
    }
    const bool any = (json->has_items & level_bit(json)) != 0;
    json->depth--;
    if (any) new_line(json);
    oxp_strbuf_add(json->out, object ? "}" : "]", 1);
    after_value(json);
}

void oxp_json_begin_object(oxp_json *json)
{
    begin(json, true);
}
void oxp_json_end_object(oxp_json *json)
{
    end(json, true);
}
void oxp_json_begin_array(oxp_json *json)
{
    begin(json, false);
}
void oxp_json_end_array(oxp_json *json)
{
    end(json, false);
}

/* Length of the well-formed UTF-8 sequence at s (RFC 3629: no overlong forms, surrogates or values
 * above 10FFFF), or 0. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80) return 1;
    const size_t len = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return len;
}

static void escape(oxp_strbuf *out, unsigned char c)
{
    static const char short_forms[] = "b\bf\fn\nr\rt\t\"\"\\\\";
    for (const char *p = short_forms; *p != '\0'; p += 2) {
        if ((unsigned char)p[1] == c) {
            oxp_strbuf_printf(out, "\\%c", p[0]);
            return;
        }
    }
    oxp_strbuf_printf(out, "\\u%04x", (unsigned)c);
}

static void quoted(oxp_strbuf *out, const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    oxp_strbuf_add(out, "\"", 1);
    for (size_t i = 0; i < n;) {
        const size_t len = utf8_length(s + i, n - i);
        if (len == 0)
            oxp_strbuf_puts(out, "\\ufffd");
        else if (s[i] < 0x20 || s[i] == '"' || s[i] == '\\' || s[i] == 0x7F)
            escape(out, s[i]);
        else
            oxp_strbuf_add(out, text + i, len);
        i += len == 0 ? 1 : len;
    }
    oxp_strbuf_add(out, "\"", 1);
}

void oxp_json_key(oxp_json *json, const char *key)
{
    if (!inside_object(json) || json->after_key) {
        json->misused = true;
        return;
    }
    separate(json);
    quoted(json->out, key, strlen(key));
    oxp_strbuf_puts(json->out, json->indent > 0 ? ": " : ":");
    json->after_key = true;
}

void oxp_json_string_n(oxp_json *json, const char *s, size_t n)
{
    before_value(json);
    quoted(json->out, s, n);
    after_value(json);
}

void oxp_json_string(oxp_json *json, const char *s)
{
    if (s == NULL)
        oxp_json_null(json);
    else
        oxp_json_string_n(json, s, strlen(s));
}

void oxp_json_int(oxp_json *json, int64_t v)
{
    char buf[OXP_NUMBER_TEXT];
    snprintf(buf, sizeof buf, "%lld", (long long)v);
    literal(json, buf);
}

void oxp_json_uint(oxp_json *json, uint64_t v)
{
    char buf[OXP_NUMBER_TEXT];
    snprintf(buf, sizeof buf, "%llu", (unsigned long long)v);
    literal(json, buf);
}

/* snprintf follows the locale of the host program; JSON does not. */
static void point_for_locale(char *buf)
{
    const char *point = localeconv()->decimal_point;
    char *at = point[0] == '\0' || strcmp(point, ".") == 0 ? NULL : strstr(buf, point);
    if (at == NULL) return;
    const size_t n = strlen(point);
    at[0] = '.';
    memmove(at + 1, at + n, strlen(at + n) + 1);
}

/* Prints v with `digits` significant digits and reads it back. */
static double there_and_back(double v, int digits, char buf[OXP_NUMBER_TEXT])
{
    double back = 0;
    snprintf(buf, OXP_NUMBER_TEXT, "%.*g", digits, v);
    point_for_locale(buf);
    return oxp_parse_double(buf, &back) ? back : (double)NAN;
}

const char *oxp_double_text(double v, char buf[OXP_NUMBER_TEXT])
{
    int digits = 15;
    while (there_and_back(v, digits, buf) != v && digits < 17) digits++;
    return buf;
}

void oxp_json_double(oxp_json *json, double v)
{
    char buf[OXP_NUMBER_TEXT];
    literal(json, isfinite(v) ? oxp_double_text(v, buf) : "null");
}

void oxp_json_float(oxp_json *json, float v)
{
    char buf[OXP_NUMBER_TEXT] = "null";
    int digits = 6;
    while (isfinite(v) && (float)there_and_back((double)v, digits, buf) != v && digits < 9)
        digits++;
    literal(json, buf);
}

void oxp_json_bool(oxp_json *json, bool v)
{
    literal(json, v ? "true" : "false");
}
void oxp_json_null(oxp_json *json)
{
    literal(json, "null");
}
