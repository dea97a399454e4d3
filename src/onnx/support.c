/* support.c - can every node be explained? Decided completely, before anything is computed.
 *
 * What this version lacks is collected per feature (an operator, an attribute, an attribute's value,
 * a number of outputs) with the nodes that need it, and reported as one line:
 *
 *   3 nodes use 2 unsupported features: DeformConv (opset 22) at 'nms'; Resize attribute
 *   mode=cubic at 'up1', 'up2'
 *
 * What no version of ONNX allows is damage and ends the check at once. */
#include "onnx/draft.h"
#include "onnx/normalise.h"
#include "ops/ops.h"
#include <stdio.h>
#include <string.h>

enum { NAMES_SHOWN = 4, VALUE_TEXT = 80, TAIL_TEXT = 48 };

typedef struct feature {
    const char *text;
    size_t n_nodes;
    const char *nodes[NAMES_SHOWN];
    const oxp_draft_node *last;
} feature;

typedef struct survey {
    oxp_ctx *ctx;
    oxp_strmap index; /* text -> index into features */
    feature *features;
    size_t n_features, cap_features, n_nodes;
    const oxp_draft_node *last; /* the last node counted in n_nodes */
} survey;

static oxp_status lacks(survey *s, const oxp_draft_node *node, const char *text)
{
    uint32_t at;
    OXP_NOMEM_IF(s->ctx, text);
    if (!oxp_strmap_get(&s->index, text, &at)) {
        OXP_FAIL_IF(s->ctx,
                    !oxp_arena_grow(s->ctx->scratch, &s->features, s->n_features, &s->cap_features,
                                    sizeof *s->features) ||
                        !oxp_strmap_put(&s->index, text, (uint32_t)s->n_features),
                    OXP_ENOMEM, "out of memory");
        at = (uint32_t)s->n_features++;
        s->features[at].text = text;
    }
    feature *f = &s->features[at];
    if (f->last != node && f->n_nodes++ < NAMES_SHOWN) f->nodes[f->n_nodes - 1] = node->name;
    f->last = node;
    if (s->last != node) s->n_nodes++;
    s->last = node;
    return OXP_OK;
}

/* ---- attributes ---- */

static bool type_matches(const oxp_pb_attr *a, oxp_attr_type type)
{
    switch (type) {
    case OXP_ATTR_INT:
        return a->type == OXP_PB_INT;
    case OXP_ATTR_FLOAT:
        return a->type == OXP_PB_FLOAT;
    case OXP_ATTR_STRING:
        return a->type == OXP_PB_STRING;
    case OXP_ATTR_INTS:
        return a->type == OXP_PB_INTS;
    case OXP_ATTR_FLOATS:
        return a->type == OXP_PB_FLOATS;
    case OXP_ATTR_GRAPH:
        return a->type == OXP_PB_GRAPH && a->g;
    case OXP_ATTR_STRINGS:
        return a->type == OXP_PB_STRINGS;
    case OXP_ATTR_TENSOR:
        return a->type == OXP_PB_TENSOR && a->t;
    }
    return false;
}

static bool listed(const char *list, const char *text)
{
    const size_t len = strlen(text);
    for (const char *at = list;;) {
        const size_t n = strcspn(at, ",");
        if (n == len && memcmp(at, text, n) == 0) return true;
        if (at[n] == '\0') return false;
        at += n + 1;
    }
}

/* Bytes of a string attribute as printable text: what is not ASCII becomes '?', so that nothing
 * behind a zero byte or in a broken encoding can pass for an accepted value. */
static void string_text(oxp_bytes s, char text[VALUE_TEXT])
{
    size_t n = 0;
    for (; n < s.size && n < VALUE_TEXT - 1; n++)
        text[n] = s.data[n] >= 0x20 && s.data[n] < 0x7f ? (char)s.data[n] : '?';
    text[n] = '\0';
}

/* Element i of an attribute as text; false past the last one (scalars have one). */
static bool element_text(const oxp_pb_attr *a, size_t i, char text[VALUE_TEXT])
{
    const size_t n = a->type == OXP_PB_INTS     ? a->ints.n
                     : a->type == OXP_PB_FLOATS ? a->floats.n
                                                : 1;
    if (i >= n) return false;
    if (a->type == OXP_PB_STRING)
        string_text(a->s, text);
    else if (a->type == OXP_PB_INT || a->type == OXP_PB_INTS)
        snprintf(text, VALUE_TEXT, "%lld",
                 (long long)(a->type == OXP_PB_INT ? a->i : a->ints.items[i]));
    else
        snprintf(text, VALUE_TEXT, "%.9g", a->type == OXP_PB_FLOAT ? a->f : a->floats.items[i]);
    return true;
}

static oxp_status check_attr(survey *s, const oxp_draft_node *node, const oxp_pb_attr *a,
                             const oxp_attr_spec *specs)
{
    const oxp_attr_spec *spec = NULL;
    if (node->domain[0] == '\0') spec = oxp_former_attr(node->op_type, a->name, node->opset);
    if (!spec)
        for (spec = specs; spec && spec->name && strcmp(spec->name, a->name) != 0;) spec++;
    if (!spec || !spec->name)
        return lacks(s, node,
                     oxp_arena_printf(s->ctx->scratch, "%s attribute %s", node->op_type, a->name));
    OXP_FAIL_IF(s->ctx, !type_matches(a, spec->type), OXP_ECORRUPT,
                "%s '%s': attribute %s has another type (%lld) than ONNX gives it", node->op_type,
                node->name, a->name, (long long)a->type);
    char text[VALUE_TEXT];
    for (size_t i = 0; spec->only && element_text(a, i, text); i++)
        if (!listed(spec->only, text))
            return lacks(s, node,
                         oxp_arena_printf(s->ctx->scratch, "%s attribute %s=%s", node->op_type,
                                          a->name, text));
    return OXP_OK;
}

/* ---- nodes ---- */

static oxp_status check_constant(survey *s, const oxp_draft_node *node)
{
    static const oxp_attr_spec specs[] = {
        {"value", OXP_ATTR_TENSOR, NULL},        {"value_float", OXP_ATTR_FLOAT, NULL},
        {"value_floats", OXP_ATTR_FLOATS, NULL}, {"value_int", OXP_ATTR_INT, NULL},
        {"value_ints", OXP_ATTR_INTS, NULL},     {NULL, OXP_ATTR_INT, NULL}};
    OXP_FAIL_IF(s->ctx, node->n_attrs != 1 || node->n_in != 0 || node->n_out != 1, OXP_ECORRUPT,
                "Constant '%s' has %zu attributes, %zu inputs and %zu outputs; expected 1, 0, 1",
                node->name, node->n_attrs, node->n_in, node->n_out);
    return check_attr(s, node, node->attrs[0], specs);
}

static oxp_status check_arity(survey *s, const oxp_draft_node *node, const oxp_op *op)
{
    oxp_arena *arena = s->ctx->scratch;
    if (op->max_out != OXP_VARIADIC && node->n_out > op->max_out)
        OXP_TRY(
            lacks(s, node, oxp_arena_printf(arena, "%s with %zu outputs", op->name, node->n_out)));
    if (op->max_in != OXP_VARIADIC && node->n_in > op->max_in)
        OXP_TRY(
            lacks(s, node, oxp_arena_printf(arena, "%s with %zu inputs", op->name, node->n_in)));
    size_t n_given = 0;
    while (n_given < node->n_in && node->in[n_given][0] != '\0') n_given++;
    OXP_FAIL_IF(s->ctx, n_given < op->min_in, OXP_ECORRUPT,
                "%s '%s' lacks input %zu of the %u that it needs", op->name, node->name, n_given,
                op->min_in);
    OXP_FAIL_IF(s->ctx, node->n_out == 0, OXP_ECORRUPT, "%s '%s' has no output", op->name,
                node->name);
    return OXP_OK;
}

static oxp_status check_nodes(survey *s, const oxp_draft *draft);

/* A branch or body: tensors only, and whatever its nodes need. flatten.c limits the depth. */
static oxp_status check_sub(survey *s, const oxp_draft_node *node, const oxp_draft_sub *sub)
{
    bool other = false;
    for (size_t i = 0; i < sub->pb->input.n; i++) other = other || sub->pb->input.items[i].is_other;
    for (size_t i = 0; i < sub->pb->output.n; i++)
        other = other || sub->pb->output.items[i].is_other;
    if (other)
        OXP_TRY(
            lacks(s, node, oxp_arena_printf(s->ctx->scratch, "%s with sequences", node->op_type)));
    return check_nodes(s, sub->body);
}

/* "Mod (opset 13)", "com.microsoft::Attention", "ai.onnx.ml::Scaler (version 9)" */
static oxp_status lacks_operator(survey *s, const oxp_draft_node *node, const oxp_op *op)
{
    oxp_arena *arena = s->ctx->scratch;
    const long long opset = (long long)node->opset;
    if (node->domain[0] == '\0')
        return lacks(s, node, oxp_arena_printf(arena, "%s (opset %lld)", node->op_type, opset));
    if (op) return lacks(s, node, oxp_arena_printf(arena, "%s (version %lld)", op->name, opset));
    return lacks(s, node, oxp_arena_printf(arena, "%s::%s", node->domain, node->op_type));
}

static oxp_status check_node(survey *s, const oxp_draft_node *node)
{
    if (oxp_draft_is_constant(node)) return check_constant(s, node);
    const oxp_op *op = oxp_op_find_in(node->domain, node->op_type);
    if (!op || op->since == 0 || node->opset < op->since ||
        (op->until != 0 && node->opset > op->until))
        return lacks_operator(s, node, op);
    for (size_t i = 0; i < node->n_attrs; i++)
        OXP_TRY(check_attr(s, node, node->attrs[i], op->attrs));
    for (size_t i = 0; i < node->n_subs; i++) OXP_TRY(check_sub(s, node, &node->subs[i]));
    return check_arity(s, node, op);
}

static oxp_status check_nodes(survey *s, const oxp_draft *draft)
{
    for (size_t i = 0; i < draft->n_nodes; i++) OXP_TRY(check_node(s, &draft->nodes[i]));
    return OXP_OK;
}

/* ---- the report ---- */

static void print_feature(const feature *f, oxp_strbuf *out)
{
    oxp_strbuf_printf(out, "%s at ", f->text);
    const size_t shown = f->n_nodes < NAMES_SHOWN ? f->n_nodes : NAMES_SHOWN;
    for (size_t i = 0; i < shown; i++) oxp_strbuf_printf(out, "%s'%s'", i ? ", " : "", f->nodes[i]);
    if (f->n_nodes > shown) oxp_strbuf_printf(out, " and %zu more", f->n_nodes - shown);
}

/* As many features as the message holds, then how many it does not. */
static oxp_status report(survey *s)
{
    const size_t room = sizeof s->ctx->error->message - TAIL_TEXT;
    oxp_strbuf text, one;
    oxp_strbuf_init(&text, s->ctx->scratch);
    oxp_strbuf_printf(&text, "%zu node%s %zu unsupported feature%s: ", s->n_nodes,
                      s->n_nodes == 1 ? " uses" : "s use", s->n_features,
                      s->n_features == 1 ? "" : "s");
    for (size_t i = 0; i < s->n_features; i++) {
        oxp_strbuf_init(&one, s->ctx->scratch);
        print_feature(&s->features[i], &one);
        if (i > 0 && text.len + one.len > room) {
            oxp_strbuf_printf(&text, "; ... and %zu more", s->n_features - i);
            break;
        }
        oxp_strbuf_printf(&text, "%s%s", i ? "; " : "", oxp_strbuf_str(&one));
    }
    const char *line = oxp_strbuf_str(&text);
    OXP_NOMEM_IF(s->ctx, line);
    OXP_FAIL(s->ctx, OXP_EUNSUPPORTED, "%s", line);
}

static oxp_status look(oxp_ctx *ctx, const oxp_draft *draft, survey *s)
{
    *s = (survey){.ctx = ctx};
    oxp_strmap_init(&s->index, ctx->scratch);
    return check_nodes(s, draft);
}

oxp_status oxp_draft_check_support(oxp_ctx *ctx, const oxp_draft *draft)
{
    survey s;
    OXP_TRY(look(ctx, draft, &s));
    return s.n_features > 0 ? report(&s) : OXP_OK;
}

oxp_status oxp_draft_lacks(oxp_ctx *ctx, oxp_arena *arena, const oxp_draft *draft,
                           const char ***lacks, size_t *n_lacks)
{
    survey s;
    OXP_TRY(look(ctx, draft, &s));
    *lacks = OXP_NEW(arena, const char *, s.n_features + 1);
    OXP_NOMEM_IF(ctx, *lacks);
    for (*n_lacks = 0; *n_lacks < s.n_features; (*n_lacks)++) {
        oxp_strbuf line;
        oxp_strbuf_init(&line, arena);
        print_feature(&s.features[*n_lacks], &line);
        (*lacks)[*n_lacks] = oxp_strbuf_str(&line);
        OXP_NOMEM_IF(ctx, (*lacks)[*n_lacks]);
    }
    return OXP_OK;
}
