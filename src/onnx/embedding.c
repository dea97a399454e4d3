/* embedding.c - EmbedLayerNormalization of ONNX Runtime's optimiser as lookups, a sum and a
 * LayerNormalization: at import, because what is looked up for tokens is where explanations of a text
 * end (explain/boundary.h), so it must be a tensor of the model. Its count of unmasked tokens stays its own. */
#include "onnx/embedding.h"

#include "ops/ops.h"

enum { IDS, SEGMENTS, WORDS, PLACES, KINDS, GAMMA, BETA, MASK, POSITIONS }; /* its inputs */

typedef struct maker {
    oxp_ctx *ctx;
    oxp_graph *g;
    const char *origin;
} maker;

static oxp_status make(const maker *m, const oxp_op *op, const oxp_val *in, size_t n_in,
                       const oxp_attr *attrs, size_t n_attrs, oxp_val *out)
{
    oxp_node *node;
    OXP_TRY(oxp_graph_add_node(m->ctx, m->g, op, in, n_in, 1, attrs, n_attrs, m->origin, &node));
    *out = node->out[0];
    return OXP_OK;
}

static oxp_status look_up(const maker *m, oxp_val table, oxp_val by, oxp_val *out)
{
    const oxp_attr axis = OXP_INT("axis", 0);
    return make(m, &oxp_op_Gather, (const oxp_val[]){table, by}, 2, &axis, 1, out);
}

/* The first rows of a table, as many as there are tokens. */
static oxp_status first_rows(const maker *m, oxp_val table, oxp_val ids, oxp_val *out)
{
    const oxp_shape one = {.rank = 1, .dim = {1}};
    oxp_tensor *zero = OXP_NEW(m->g->arena, oxp_tensor, 1);
    OXP_NOMEM_IF(m->ctx, zero);
    OXP_TRY(oxp_tensor_new(m->ctx, m->g->arena, OXP_I64, &one, zero));
    *(int64_t *)(uintptr_t)zero->data = 0;
    const oxp_attr from = OXP_INT("start", 1);
    oxp_val start, tokens;
    OXP_TRY(oxp_graph_add_const(m->ctx, m->g, NULL, OXP_I64, zero, &start));
    OXP_TRY(make(m, &oxp_op_Shape, &ids, 1, &from, 1, &tokens));
    return make(m, &oxp_op_Slice, (const oxp_val[]){table, start, tokens, start}, 4, NULL, 0, out);
}

oxp_status oxp_import_embedding(oxp_ctx *ctx, oxp_graph *g, const oxp_form *form,
                                const char *origin, oxp_embedding *out)
{
    const maker m = {ctx, g, origin};
    oxp_val in[POSITIONS + 1] = {OXP_NO_VAL}, terms[3];
    size_t n = 0, n_attrs = 1;
    *out = (oxp_embedding){OXP_NO_VAL};
    for (size_t i = 0; i < form->n_in && i <= POSITIONS; i++) in[i] = form->in[i];
    OXP_FAIL_IF(ctx, !in[IDS] || !in[WORDS] || !in[PLACES] || !in[GAMMA] || !in[BETA], OXP_ECORRUPT,
                "EmbedLayerNormalization '%s' lacks one of its ids, tables, scale and bias",
                origin);
    OXP_TRY(look_up(&m, in[WORDS], in[IDS], &out->word));
    terms[n++] = out->word;
    if (in[POSITIONS])
        OXP_TRY(look_up(&m, in[PLACES], in[POSITIONS], &terms[n++]));
    else
        OXP_TRY(first_rows(&m, in[PLACES], in[IDS], &terms[n++]));
    if (in[KINDS] && in[SEGMENTS]) {
        OXP_TRY(look_up(&m, in[KINDS], in[SEGMENTS], &out->segment));
        terms[n++] = out->segment;
    }
    out->sum = terms[0];
    for (size_t i = 1; i < n; i++)
        OXP_TRY(
            make(&m, &oxp_op_Add, (const oxp_val[]){out->sum, terms[i]}, 2, NULL, 0, &out->sum));
    oxp_attr attrs[2] = {OXP_INT("axis", -1)};
    for (size_t i = 0; i < form->n_attrs; i++)
        if (form->attrs[i].type == OXP_ATTR_FLOAT && n_attrs < 2) attrs[n_attrs++] = form->attrs[i];
    return make(&m, &oxp_op_LayerNormalization, (const oxp_val[]){out->sum, in[GAMMA], in[BETA]}, 3,
                attrs, n_attrs, &out->y);
}
