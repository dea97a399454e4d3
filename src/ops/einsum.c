/* einsum.c - Einsum: sums of products over named axes.
 *
 *   "bhqd,bhkd->bhqk"   y[b,h,q,k] = sum over d of x0[b,h,q,d] x1[b,h,k,d]
 *
 * A letter names an axis, the same axis wherever it stands; twice in one operand: its diagonal. "..."
 * are the axes that are not named, which broadcast, from the last one. Without "->" the result has the
 * letters that stand once, in alphabetical order, after "...". Cells of size 1 broadcast.
 *
 * Specialisation puts the expansion in its place: diagonals and sums of single operands, then one matrix
 * product per further operand. */
#include "ops/infer.h"
#include "ops/lower.h"

#include <string.h>

enum { LETTERS = 52, LABELS = LETTERS + OXP_MAX_RANK, MAX_TERMS = 64 };

typedef struct term { /* the axes of an operand, or of the result */
    int n;
    int label[OXP_MAX_RANK];
} term;

typedef struct equation {
    int n_terms;
    term in[MAX_TERMS], out;
    int64_t dim[LABELS]; /* -1: not used */
} equation;

/* ---- reading ---- */

static int letter(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : -1;
}

/* One operand's part of the equation up to ',' or '-' or the end; `dots` axes stand for "...", -1: as
 * many as the rank of x leaves. */
static oxp_status read_term(oxp_ctx *ctx, const oxp_node *node, const char **at, int rank, int dots,
                            term *out)
{
    int letters = 0, ellipses = 0;
    const char *end = *at;
    for (; *end != '\0' && *end != ',' && *end != '-'; end++) {
        letters += letter(*end) >= 0;
        ellipses += strncmp(end, "...", 3) == 0;
        if (strncmp(end, "...", 3) == 0) end += 2;
    }
    if (dots < 0) dots = ellipses ? rank - letters : 0;
    OXP_NODE_FAIL_IF(ctx, node,
                     ellipses > 1 || dots < 0 || letters + (ellipses ? dots : 0) > OXP_MAX_RANK ||
                         (rank >= 0 && letters + (ellipses ? dots : 0) != rank),
                     OXP_EINVAL, "has the equation '%s', which does not fit its inputs",
                     oxp_attr_string(node, "equation", ""));
    out->n = 0;
    for (const char *c = *at; c < end; c++) {
        if (*c == ' ') continue;
        if (*c == '.') {
            for (int k = dots; k-- > 0;) out->label[out->n++] = LETTERS + k; /* from the last one */
            c += 2;
            continue;
        }
        OXP_NODE_FAIL_IF(ctx, node, letter(*c) < 0, OXP_EINVAL,
                         "has '%c' in its equation '%s': expected letters, ',', '...' and '->'", *c,
                         oxp_attr_string(node, "equation", ""));
        out->label[out->n++] = letter(*c);
    }
    *at = end;
    return OXP_OK;
}

static oxp_status note_dims(oxp_ctx *ctx, const oxp_node *node, const term *t, const oxp_shape *x,
                            equation *e)
{
    for (int a = 0; a < t->n; a++) {
        int64_t *dim = &e->dim[t->label[a]];
        OXP_NODE_FAIL_IF(ctx, node, *dim > 1 && x->dim[a] != 1 && x->dim[a] != *dim, OXP_EINVAL,
                         "has %lld and %lld cells along one axis of '%s'", (long long)*dim,
                         (long long)x->dim[a], oxp_attr_string(node, "equation", ""));
        if (*dim < 0 || *dim == 1) *dim = x->dim[a];
    }
    return OXP_OK;
}

/* The result without "->": letters that stand once, in order of their codes. */
static oxp_status implicit_result(oxp_ctx *ctx, const oxp_node *node, equation *e)
{
    int times[LABELS] = {0};
    for (int i = 0; i < e->n_terms; i++)
        for (int a = 0; a < e->in[i].n; a++) times[e->in[i].label[a]]++;
    e->out.n = 0;
    for (int pass = 0; pass < 2; pass++) /* "..." first */
        for (int l = pass ? 0 : LABELS - 1; pass ? l < LETTERS : l >= LETTERS; l += pass ? 1 : -1) {
            if (pass ? times[l] != 1 : times[l] == 0) continue;
            OXP_NODE_FAIL_IF(ctx, node, e->out.n == OXP_MAX_RANK, OXP_ELIMIT,
                             "would make a tensor of more than %d axes", OXP_MAX_RANK);
            e->out.label[e->out.n++] = l;
        }
    return OXP_OK;
}

static oxp_status read_equation(oxp_ctx *ctx, const oxp_node *node, const oxp_shape *const *shape,
                                equation *e)
{
    const char *at = oxp_attr_string(node, "equation", "");
    int dots = 0;
    OXP_NODE_FAIL_IF(ctx, node, node->n_in > MAX_TERMS, OXP_ELIMIT, "has more than %d inputs",
                     MAX_TERMS);
    e->n_terms = (int)node->n_in;
    for (int l = 0; l < LABELS; l++) e->dim[l] = -1;
    for (int i = 0; i < e->n_terms; i++) {
        OXP_TRY(read_term(ctx, node, &at, shape[i]->rank, -1, &e->in[i]));
        OXP_TRY(note_dims(ctx, node, &e->in[i], shape[i], e));
        for (int a = 0; a < e->in[i].n; a++)
            if (e->in[i].label[a] - LETTERS >= dots) dots = e->in[i].label[a] - LETTERS + 1;
        OXP_NODE_FAIL_IF(ctx, node, (i + 1 < e->n_terms) != (*at == ','), OXP_EINVAL,
                         "has %u inputs, its equation '%s' is for another number", node->n_in,
                         oxp_attr_string(node, "equation", ""));
        at += *at == ',';
    }
    if (*at == '\0') return implicit_result(ctx, node, e);
    OXP_NODE_FAIL_IF(ctx, node, strncmp(at, "->", 2) != 0, OXP_EINVAL, "has '%s' in its equation",
                     at);
    at += 2;
    OXP_TRY(read_term(ctx, node, &at, -1, dots, &e->out));
    bool seen[LABELS] = {false};
    for (int a = 0; a < e->out.n; a++) {
        const int l = e->out.label[a];
        OXP_NODE_FAIL_IF(ctx, node, e->dim[l] < 0 || seen[l] || *at != '\0', OXP_EINVAL,
                         "asks for a result that its inputs do not have: '%s'",
                         oxp_attr_string(node, "equation", ""));
        seen[l] = true;
    }
    return OXP_OK;
}

static oxp_shape shape_of(const equation *e, const term *t)
{
    oxp_shape s = {.rank = t->n};
    for (int a = 0; a < t->n; a++) s.dim[a] = e->dim[t->label[a]];
    return s;
}

/* ---- infer, ref ---- */

static oxp_status einsum_infer(oxp_infer *inf)
{
    const oxp_shape *shape[MAX_TERMS];
    equation e;
    for (uint32_t i = 0; i < inf->node->n_in && i < MAX_TERMS; i++) {
        OXP_NODE_FAIL_IF(inf->ctx, inf->node,
                         !oxp_infer_has(inf, i) || oxp_infer_dtype(inf, i) == OXP_BOOL ||
                             oxp_infer_dtype(inf, i) != oxp_infer_dtype(inf, 0),
                         OXP_EINVAL, "expects numbers of one kind, input %u is not", i);
        shape[i] = oxp_infer_shape(inf, i);
    }
    OXP_TRY(read_equation(inf->ctx, inf->node, shape, &e));
    const oxp_shape y = shape_of(&e, &e.out);
    return oxp_infer_out(inf, 0, oxp_infer_dtype(inf, 0), &y);
}

/* Element of operand i at the cell `at` of all labels. */
static double element(const oxp_call *call, const equation *e, int i, const int64_t *at)
{
    int64_t offset = 0;
    for (int a = 0; a < e->in[i].n; a++) {
        const int64_t dim = call->in_shape[i].dim[a];
        offset = offset * dim + (dim == 1 ? 0 : at[e->in[i].label[a]]);
    }
    return call->in[i][offset];
}

static oxp_status einsum_ref(const oxp_call *call)
{
    const oxp_shape *shape[MAX_TERMS];
    equation e;
    for (uint32_t i = 0; i < call->node->n_in && i < MAX_TERMS; i++) shape[i] = &call->in_shape[i];
    OXP_TRY(read_equation(call->ctx, call->node, shape, &e));
    const int64_t n = oxp_shape_elements(&call->out_shape[0]);
    memset(call->out[0], 0, (size_t)n * sizeof(double));
    int64_t at[LABELS] = {0};
    for (int l = 0; l < LABELS; l++)
        if (e.dim[l] == 0) return OXP_OK;
    for (bool more = true; more;) {
        double product = 1.0;
        int64_t offset = 0;
        for (int i = 0; i < e.n_terms; i++) product *= element(call, &e, i, at);
        for (int a = 0; a < e.out.n; a++)
            offset = offset * e.dim[e.out.label[a]] + at[e.out.label[a]];
        call->out[0][offset] += product;
        int l = LABELS - 1;
        for (; l >= 0; l--) {
            if (e.dim[l] < 0) continue;
            if (++at[l] < e.dim[l]) break;
            at[l] = 0;
        }
        more = l >= 0;
    }
    return OXP_OK;
}

/* ---- expand ---- */

typedef struct operand {
    oxp_val v;
    term t; /* each label once */
} operand;

static int find_label(const term *t, int label)
{
    for (int a = 0; a < t->n; a++)
        if (t->label[a] == label) return a;
    return -1;
}

static void drop_axis(term *t, int axis)
{
    for (int a = axis; a + 1 < t->n; a++) t->label[a] = t->label[a + 1];
    t->n--;
}

/* Axes in the order given: those that move last go last. */
static void move_last(oxp_build *b, operand *x, int axis)
{
    int64_t perm[OXP_MAX_RANK];
    const int label = x->t.label[axis];
    int k = 0;
    for (int a = 0; a < x->t.n; a++)
        if (a != axis) perm[k++] = a;
    perm[k] = axis;
    x->v = oxp_b_transpose(b, x->v, perm);
    drop_axis(&x->t, axis);
    x->t.label[x->t.n++] = label;
}

/* The diagonal of two axes of one label: both last, as one, every (n + 1)th cell of it. */
static void take_diagonal(oxp_build *b, operand *x, int first, int second)
{
    if (b->status != OXP_OK) return;
    move_last(b, x, second);
    move_last(b, x, first);
    oxp_shape s = *oxp_b_shape(b, x->v);
    const int64_t n = s.dim[s.rank - 1];
    int64_t *cells = OXP_NEW(b->ctx->scratch, int64_t, (size_t)n + 1);
    if (!cells) b->status = oxp_ctx_fail(b->ctx, OXP_ENOMEM, "out of memory");
    if (b->status != OXP_OK) return;
    for (int64_t i = 0; i < n; i++) cells[i] = i * (n + 1);
    s.rank--;
    s.dim[s.rank - 1] = n * n;
    x->v = oxp_emit(b, &oxp_op_Gather,
                    (const oxp_val[]){oxp_b_reshape(b, x->v, &s), oxp_b_ints(b, cells, (size_t)n)},
                    2, (const oxp_attr[]){OXP_INT("axis", s.rank - 1)}, 1);
    drop_axis(&x->t, x->t.n - 1);
}

/* Every axis at its full size, each label once. */
static operand prepare(oxp_build *b, const equation *e, oxp_val v, const term *t)
{
    operand x = {v, *t};
    const oxp_shape full = shape_of(e, t);
    x.v = oxp_b_expand(b, v, &full);
    for (int a = 0; a < x.t.n; a++)
        for (int c = a + 1; c < x.t.n; c++)
            if (x.t.label[a] == x.t.label[c]) {
                take_diagonal(b, &x, a, c);
                a = -1;
                break;
            }
    return x;
}

/* Sums over the axes whose labels are not needed. */
static void sum_others(oxp_build *b, operand *x, const bool *needed)
{
    int64_t axes[OXP_MAX_RANK] = {0};
    size_t n = 0;
    for (int a = 0; a < x->t.n; a++)
        if (!needed[x->t.label[a]]) axes[n++] = a;
    if (n == 0) return;
    x->v = oxp_b_reduce_sum(b, x->v, axes, n, false);
    for (size_t k = n; k-- > 0;) drop_axis(&x->t, (int)axes[k]);
}

static void in_order(oxp_build *b, operand *x, const term *order)
{
    int64_t perm[OXP_MAX_RANK];
    for (int a = 0; a < order->n; a++) perm[a] = find_label(&x->t, order->label[a]);
    x->v = oxp_b_transpose(b, x->v, perm);
    x->t = *order;
}

static int64_t cells_of(const equation *e, const term *t)
{
    int64_t n = 1;
    for (int a = 0; a < t->n; a++) n *= e->dim[t->label[a]];
    return n;
}

static void append(term *to, const term *from)
{
    for (int a = 0; a < from->n; a++) to->label[to->n++] = from->label[a];
}

/* x y over the labels that both have and nobody needs; false when the result has too many axes. */
static bool contract(oxp_build *b, const equation *e, const bool *needed, operand *x, operand *y)
{
    term batch = {0}, inner = {0}, left = {0}, right = {0};
    for (int a = 0; a < x->t.n; a++) {
        const int l = x->t.label[a];
        term *to = find_label(&y->t, l) < 0 ? &left : needed[l] ? &batch : &inner;
        to->label[to->n++] = l;
    }
    for (int a = 0; a < y->t.n; a++)
        if (find_label(&x->t, y->t.label[a]) < 0) right.label[right.n++] = y->t.label[a];
    if (batch.n + left.n + right.n > OXP_MAX_RANK) return false;
    term xs = batch, ys = batch, out = batch;
    append(&xs, &left);
    append(&xs, &inner);
    append(&ys, &inner);
    append(&ys, &right);
    append(&out, &left);
    append(&out, &right);
    in_order(b, x, &xs);
    in_order(b, y, &ys);
    const int64_t n = cells_of(e, &batch), rows = cells_of(e, &left), k = cells_of(e, &inner),
                  cols = cells_of(e, &right);
    const oxp_val product =
        oxp_b_matmul(b, oxp_b_reshape(b, x->v, &(oxp_shape){.rank = 3, .dim = {n, rows, k}}),
                     oxp_b_reshape(b, y->v, &(oxp_shape){.rank = 3, .dim = {n, k, cols}}));
    const oxp_shape full = shape_of(e, &out);
    *x = (operand){oxp_b_reshape(b, product, &full), out};
    return true;
}

static oxp_status einsum_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    const oxp_shape *shape[MAX_TERMS];
    equation e;
    for (uint32_t i = 0; i < node->n_in && i < MAX_TERMS; i++)
        shape[i] = oxp_b_shape(b, node->in[i]);
    OXP_TRY(read_equation(b->ctx, node, shape, &e));
    operand x = {OXP_NO_VAL, {0}};
    for (int i = 0; i < e.n_terms && b->status == OXP_OK; i++) {
        bool needed[LABELS] = {false}; /* by the result or a later operand */
        for (int a = 0; a < e.out.n; a++) needed[e.out.label[a]] = true;
        for (int k = i + 1; k < e.n_terms; k++)
            for (int a = 0; a < e.in[k].n; a++) needed[e.in[k].label[a]] = true;
        operand y = prepare(b, &e, node->in[i], &e.in[i]);
        bool shared[LABELS];
        memcpy(shared, needed, sizeof shared);
        for (int a = 0; i > 0 && a < x.t.n; a++) shared[x.t.label[a]] = true;
        sum_others(b, &y, shared);
        if (i == 0) {
            x = y;
            continue;
        }
        OXP_NODE_FAIL_IF(b->ctx, node, !contract(b, &e, needed, &x, &y), OXP_ELIMIT,
                         "needs a product of more than %d axes", OXP_MAX_RANK);
        sum_others(b, &x, needed); /* what only the operands before still needed */
    }
    in_order(b, &x, &e.out);
    out[0] = x.v;
    return b->status;
}

/* ---- descriptor ---- */

/* clang-format off */
static const oxp_attr_spec einsum_attrs[] = {
    {"equation", OXP_ATTR_STRING, NULL}, {NULL, OXP_ATTR_INT, NULL}};

const oxp_op oxp_op_Einsum = {
    .name = "Einsum", .min_in = 1, .max_in = OXP_VARIADIC, .min_out = 1, .max_out = 1, .since = 12,
    .flags = OXP_OP_COMPOSITE | OXP_OP_OPEN | OXP_OP_WRAPS, .attrs = einsum_attrs,
    .infer = einsum_infer, .ref = einsum_ref, .expand = einsum_expand};
/* clang-format on */
