/* attention_tmme.c - relevance of tokens by the rules of Chefer, Gur, Wolf 2021 (TMME): one encoder,
 * encoders side by side, co-attention, encoder and decoder.
 *
 * R_sm (Ts,Tm) is what the tokens of sequence s hold of the tokens that sequence m started with; at
 * first R_ss = I, all others 0. Maps are taken in the order in which they are executed, and each sees
 * its sequences as they are when it reads them:
 *
 *   a               mean_h relu(dY/dA_h . A_h)                                (rule 5)
 *   s attends to s  R_sm += a R_sm                                            (rules 6, 7)
 *   s attends to q  R_sq += norm(R_ss)' a norm(R_qq), norm(R) = D^-1 (R - I) + I, D the row sums of
 *                   R - I; and R_sm += a R_qm for all other m                 (rules 8 to 11)
 *   out             for each sequence m: sum over the sequences s that the target reads of q_s R_sm
 *
 * Rule 11 is that of the paper for m = s; a third sequence is passed on likewise. Sequences are told
 * apart by where their tokens come from (sequences.h), not by their length. What is behind the last
 * attention between sequences needs rows only, so one encoder costs no product of matrices. */
#include "explain/attention.h"

#include "explain/roles.h"
#include "ops/ops.h"

#define NONE SIZE_MAX
#define ZERO OXP_NO_VAL

typedef struct flow {
    oxp_task *t;
    size_t n;                    /* maps */
    const oxp_node **scores;     /* [n] queries times keys */
    oxp_val *mixed;              /* [n] map times values */
    bool **after;                /* [n] what builds on the map */
    size_t *query, *key;         /* [n] sequences */
    size_t *query_map, *key_map; /* [n] the map that made the queries, the keys; NONE: none did */
    size_t n_seq;
    size_t *last;        /* [n_seq] the last map of its queries */
    bool *read;          /* [n_seq] by the target, not through a later map */
    oxp_val *a;          /* [n] (N,Tq,Tk) or ZERO */
    bool *needed, *made; /* [n] all blocks of this map's queries */
    oxp_val *block;      /* [n][n_seq] R_sm - I or R_sm of map n's queries s, behind it */
} flow;

static const char *name_of(const flow *f, size_t l)
{
    const char *name = oxp_value_of(f->t->b->g, f->t->at[l])->name;
    return name ? name : "?";
}

/* ---- which sequences there are ---- */

static size_t number_of(uint32_t *known, size_t *n, uint32_t sequence)
{
    for (size_t i = 0; i < *n; i++)
        if (known[i] == sequence) return i;
    known[*n] = sequence;
    return (*n)++;
}

/* A chain of maps of one size in which each attends to its own queries is one encoder, even where
 * the tokens could not be followed from one to the next. */
static bool is_plain_chain(const flow *f)
{
    const oxp_shape *first = oxp_shape_at(f->t->b->g, f->t->at[0]);
    for (size_t l = 0; l < f->n; l++) {
        const oxp_shape *s = oxp_shape_at(f->t->b->g, f->t->at[l]);
        if (f->query[l] != f->key[l] || s->dim[s->rank - 1] != first->dim[first->rank - 1] ||
            (l > 0 && !f->after[l - 1][f->t->at[l]]))
            return false;
    }
    return true;
}

/* Scores are queries times keys; keys times queries, transposed afterwards, would be read the wrong way. */
static oxp_status check_sides(const flow *f, const oxp_sequences *axes)
{
    const oxp_graph *g = f->t->b->g;
    for (size_t l = 0; l < f->n; l++) {
        const oxp_val keys = f->scores[l]->in[1];
        const int columns = oxp_shape_at(g, keys)->rank - 1,
                  rank = oxp_shape_at(g, f->t->at[l])->rank;
        OXP_FAIL_IF(f->t->ctx,
                    oxp_sequence_of(axes, keys, columns) !=
                        oxp_sequence_of(axes, f->t->at[l], rank - 1),
                    OXP_EUNSUPPORTED,
                    "tmme cannot tell queries from keys in '%s': name other maps with --layer",
                    name_of(f, l));
    }
    return OXP_OK;
}

static oxp_status name_sequences(flow *f)
{
    const oxp_graph *g = f->t->b->g;
    oxp_sequences *axes;
    OXP_TRY(oxp_sequences_find(f->t->ctx, g, &axes));
    uint32_t *known = OXP_NEW(f->t->ctx->scratch, uint32_t, 2 * f->n);
    OXP_NOMEM_IF(f->t->ctx, known);
    for (size_t l = 0; l < f->n; l++) {
        const oxp_val map = f->t->at[l];
        const int rank = oxp_shape_at(g, map)->rank;
        f->query[l] = number_of(known, &f->n_seq, oxp_sequence_of(axes, map, rank - 2));
        f->key[l] = number_of(known, &f->n_seq, oxp_sequence_of(axes, map, rank - 1));
    }
    if (!is_plain_chain(f)) return check_sides(f, axes);
    for (size_t l = 0; l < f->n; l++) f->query[l] = f->key[l] = 0;
    f->n_seq = 1;
    return OXP_OK;
}

/* The map that made the tokens of a sequence which are an operand of map l's scores; NONE: they come from no
 * attention. */
static size_t made_by(const flow *f, size_t l, size_t sequence, uint32_t operand)
{
    for (size_t m = l; m-- > 0;)
        if (f->query[m] == sequence && f->after[m][f->scores[l]->in[operand]]) return m;
    return NONE;
}

/* Tokens that another sequence's attention went into, joined, cut or pooled, would count as new. */
static oxp_status check_new(const flow *f, size_t l, size_t made, uint32_t operand)
{
    for (size_t m = 0; made == NONE && m < l; m++)
        OXP_FAIL_IF(f->t->ctx, f->after[m][f->scores[l]->in[operand]], OXP_EUNSUPPORTED,
                    "tmme cannot follow the tokens from the attention '%s' to the %s of '%s' "
                    "(joined, cut, pooled or moved): name the maps of one part with --layer",
                    name_of(f, m), operand ? "keys" : "queries", name_of(f, l));
    return OXP_OK;
}

/* Does the target read what map l made otherwise than through another map? */
static oxp_status is_read(const flow *f, size_t l, bool *read)
{
    const oxp_graph *g = f->t->b->g;
    bool *reach = OXP_NEW(f->t->ctx->scratch, bool, g->n_values);
    bool *other = OXP_NEW(f->t->ctx->scratch, bool, g->n_values);
    OXP_FAIL_IF(f->t->ctx, !reach || !other, OXP_ENOMEM, "out of memory");
    for (size_t m = 0; m < f->n; m++) other[f->mixed[m]] = other[f->t->at[m]] = m != l;
    reach[f->mixed[l]] = true;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const oxp_node *node = g->nodes[i];
        bool any = false;
        for (uint32_t k = 0; k < node->n_in; k++) any = any || reach[node->in[k]];
        for (uint32_t k = 0; any && k < node->n_out; k++)
            reach[node->out[k]] = node->out[k] != OXP_NO_VAL && !other[node->out[k]];
    }
    *read = reach[f->t->target];
    return OXP_OK;
}

static oxp_status make_flow(oxp_task *t, flow *f)
{
    oxp_arena *arena = t->ctx->scratch;
    const size_t n = t->n_at;
    *f = (flow){.t = t,
                .n = n,
                .scores = OXP_NEW(arena, const oxp_node *, n),
                .mixed = OXP_NEW(arena, oxp_val, n),
                .after = OXP_NEW(arena, bool *, n),
                .query = OXP_NEW(arena, size_t, n),
                .key = OXP_NEW(arena, size_t, n),
                .query_map = OXP_NEW(arena, size_t, n),
                .key_map = OXP_NEW(arena, size_t, n),
                .last = OXP_NEW(arena, size_t, 2 * n),
                .read = OXP_NEW(arena, bool, 2 * n),
                .a = OXP_NEW(arena, oxp_val, n),
                .needed = OXP_NEW(arena, bool, n),
                .made = OXP_NEW(arena, bool, n)};
    OXP_FAIL_IF(t->ctx,
                !f->scores || !f->mixed || !f->after || !f->query || !f->key || !f->query_map ||
                    !f->key_map || !f->last || !f->read || !f->a || !f->needed || !f->made,
                OXP_ENOMEM, "out of memory");
    for (size_t l = 0; l < n; l++) {
        const oxp_node *mixed;
        OXP_TRY(oxp_attention_parts(t->ctx, t->b->g, t->at[l], &f->scores[l], &mixed));
        f->mixed[l] = mixed->out[0];
        f->after[l] = oxp_reach_down(t->b->g, arena, &t->at[l], 1);
        OXP_NOMEM_IF(t->ctx, f->after[l]);
    }
    OXP_TRY(name_sequences(f));
    f->block = OXP_NEW(arena, oxp_val, n * f->n_seq);
    OXP_NOMEM_IF(t->ctx, f->block);
    for (size_t s = 0; s < f->n_seq; s++) f->last[s] = NONE;
    for (size_t l = 0; l < n; l++) {
        f->query_map[l] = made_by(f, l, f->query[l], 0);
        f->key_map[l] = made_by(f, l, f->key[l], 1);
        OXP_TRY(check_new(f, l, f->query_map[l], 0));
        OXP_TRY(check_new(f, l, f->key_map[l], 1));
        f->last[f->query[l]] = l;
    }
    for (size_t s = 0; s < f->n_seq; s++)
        if (f->last[s] != NONE) OXP_TRY(is_read(f, f->last[s], &f->read[s]));
    return OXP_OK;
}

/* ---- the rules, on H = R - I for R_ss and H = R for all others ---- */

static oxp_val times(const flow *f, oxp_val x, oxp_val y)
{
    return x == ZERO || y == ZERO ? ZERO : oxp_b_matmul(f->t->b, x, y);
}

static oxp_val plus(const flow *f, oxp_val x, oxp_val y)
{
    return x == ZERO ? y : y == ZERO ? x : oxp_b_add(f->t->b, x, y);
}

/* x R_sm, R_sm = H or I + H */
static oxp_val times_block(const flow *f, oxp_val x, oxp_val h, bool own)
{
    return plus(f, own ? x : ZERO, times(f, x, h));
}

/* norm(R) - I = D^-1 H; a row of zeros stays */
static oxp_val normalised(const flow *f, oxp_val h)
{
    oxp_build *b = f->t->b;
    if (h == ZERO || !oxp_param_bool(f->t->params, "normalise")) return h;
    const int64_t columns = 2;
    const oxp_val sum = oxp_b_reduce_sum(b, h, &columns, 1, true),
                  none = oxp_b_equal(b, sum, oxp_b_scalar(b, 0.0)),
                  safe = oxp_b_where(b, none, oxp_b_scalar(b, 1.0), sum);
    return oxp_b_div(b, h, safe);
}

static oxp_val transposed(const flow *f, oxp_val h)
{
    return h == ZERO ? ZERO : oxp_b_transpose(f->t->b, h, (const int64_t[]){0, 2, 1});
}

/* H of R_sm behind map `made`, or at the start */
static oxp_val block_of(const flow *f, size_t made, size_t m)
{
    return made == NONE ? ZERO : f->block[made * f->n_seq + m];
}

/* norm(R_ss)' a norm(R_qq) */
static oxp_val between(const flow *f, size_t l)
{
    const oxp_val own = transposed(f, normalised(f, block_of(f, f->query_map[l], f->query[l]))),
                  theirs = normalised(f, block_of(f, f->key_map[l], f->key[l]));
    return times_block(f, plus(f, f->a[l], times(f, own, f->a[l])), theirs, true);
}

/* All R_sm behind map l. */
static void apply_rules(flow *f, size_t l)
{
    const size_t s = f->query[l], q = f->key[l];
    const bool whole = oxp_param_bool(f->t->params, "self-in-rule-10");
    for (size_t m = 0; m < f->n_seq; m++) {
        const oxp_val old = block_of(f, f->query_map[l], m);
        const oxp_val more = s == q || m != q
                                 ? times_block(f, f->a[l], block_of(f, f->key_map[l], m), m == q)
                             : whole ? between(f, l)
                                     : f->a[l];
        f->block[l * f->n_seq + m] = plus(f, old, more);
    }
    f->made[l] = true;
}

/* Back from the last map of s while only self-attention is met: *r becomes q (I + a_L) ... and what is
 * left is the returned map's. */
static size_t back_to_cross(const flow *f, size_t l, oxp_val *r)
{
    while (l != NONE && f->query[l] == f->key[l]) {
        *r = plus(f, *r, times(f, *r, f->a[l]));
        l = f->query_map[l];
    }
    return l;
}

static void mark_needed(flow *f, size_t l)
{
    if (l != NONE) f->needed[l] = true;
    for (size_t k = f->n; k-- > 0;) {
        if (!f->needed[k]) continue;
        if (f->query_map[k] != NONE) f->needed[f->query_map[k]] = true;
        if (f->key_map[k] != NONE) f->needed[f->key_map[k]] = true;
    }
}

/* ---- the method ---- */

/* The map that stands for the tokens of s: the last in which they attend to themselves, else the last
 * in which they are looked at; NONE: they never are. */
static size_t stand_for(const flow *f, size_t s)
{
    size_t seen = NONE, own = NONE;
    for (size_t l = 0; l < f->n; l++) {
        if (f->key[l] == s) seen = l;
        if (f->key[l] == s && f->query[l] == s) own = l;
    }
    return own != NONE ? own : seen;
}

/* Adds q_s R_sm to what the sequences m get. */
static oxp_status add_rows(flow *f, size_t s, oxp_val *total)
{
    oxp_task *t = f->t;
    const bool keep = oxp_param_bool(t->params, "self");
    oxp_val query, r;
    const size_t keys = stand_for(f, s);
    const int64_t prefix = keys == NONE ? 0 : t->roles[keys].prefix;
    OXP_TRY(oxp_attention_row(t, f->last[s], prefix, &query));
    r = query;
    const size_t cross = back_to_cross(f, f->last[s], &r);
    mark_needed(f, cross);
    for (size_t l = 0; l < f->n; l++)
        if (f->needed[l] && !f->made[l]) apply_rules(f, l);
    for (size_t m = 0; m < f->n_seq; m++) {
        oxp_val row = times_block(f, r, block_of(f, cross, m), m == s);
        if (row == ZERO || row == query || t->b->status != OXP_OK) continue;
        if (m == s && !keep) row = oxp_attention_others(t, row, query);
        total[m] = plus(f, total[m], row);
    }
    return t->b->status;
}

static oxp_status plan(oxp_task *t)
{
    flow f;
    OXP_TRY(make_flow(t, &f));
    bool *parts = OXP_NEW(t->ctx->scratch, bool, f.n);
    oxp_val *total = OXP_NEW(t->ctx->scratch, oxp_val, f.n_seq);
    OXP_FAIL_IF(t->ctx, !parts || !total, OXP_ENOMEM, "out of memory");
    OXP_TRY(oxp_task_backward(t, NULL, OXP_NO_VAL, t->out));
    for (size_t l = 0; l < f.n; l++)
        if (t->out[l] != OXP_NO_VAL) f.a[l] = oxp_attention_positive(t, t->out[l], t->at[l]);
    for (size_t s = 0; s < f.n_seq; s++)
        if (f.read[s]) OXP_TRY(add_rows(&f, s, total));
    for (size_t l = 0; l < f.n; l++) t->out[l] = OXP_NO_VAL;
    for (size_t m = 0; m < f.n_seq; m++) {
        const size_t l = stand_for(&f, m);
        if (l == NONE) continue;
        parts[l] = true;
        if (total[m] != ZERO) t->out[l] = oxp_attention_tokens_of(t, l, total[m]);
    }
    t->parts = parts;
    return t->b->status;
}

static const oxp_param_info params[] = {
    {"self", "keep the relevance that the token shown has for itself, 1 from the start",
     OXP_PARAM_BOOL, 0, 1, "false", NULL},
    {"normalise", "between sequences: relevance without the identity, rows divided by their sums",
     OXP_PARAM_BOOL, 0, 1, "true", NULL},
    {"self-in-rule-10",
     "between sequences: with what both have gathered within themselves, not the map alone",
     OXP_PARAM_BOOL, 0, 1, "true", NULL},
    OXP_ATTENTION_QUERY,
    OXP_CAM_UPSAMPLE,
};

const oxp_method oxp_method_tmme = {
    .info = {.name = "tmme",
             .title = "TMME relevance",
             .param_count = OXP_COUNT(params),
             .needs_layer = 1,
             .sentence = "Relevance carried through all layers by the attention that raises the "
                         "score, within and between sequences of tokens.",
             .definition =
                 "the read row of (I + a_L) ... (I + a_1) without its own entry, a = mean_h "
                 "relu(g_h . A_h); between sequences rules 8-11",
             .paper = "Chefer, Gur, Wolf 2021, arXiv:2103.15679 (rules 5-11)",
             .equals = "Transformer-MM-Explainability: ViT notebook, LXMERT and DETR "
                       "(generate_ours, use_lrp=False), CLIP with start_layer=0; before "
                       "its normalisation",
             .cost = "1 forward, backward down to the first attention",
             .weakness = "positive evidence only; ignores values and feed-forward layers"},
    .params = params,
    .flags = OXP_METHOD_LAYER | OXP_METHOD_ATTENTION | OXP_METHOD_ATTENTION_FLOW |
             OXP_METHOD_ATTENTION_CROSS,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan,
};
