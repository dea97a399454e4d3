/* match.c - see match.h. Nothing here changes a graph. */
#include "opt/match.h"

#include "ops/infer.h"
#include <math.h>
#include <string.h>

#define TOLERANCE      1e-4
#define TOLERANCE_F16  2e-3
#define TOLERANCE_BF16 1.6e-2

void oxp_match_retry(oxp_match *m)
{
    m->parts[0] = m->root;
    m->n_parts = 1;
    m->op = NULL;
    m->n_in = m->n_attrs = 0;
    m->tolerance = TOLERANCE;
}

static bool has_part(const oxp_match *m, const oxp_node *node)
{
    for (size_t i = 0; i < m->n_parts && i < OXP_MATCH_PARTS; i++)
        if (m->parts[i] == node) return true;
    return false;
}

static void take(oxp_match *m, const oxp_node *node)
{
    if (has_part(m, node)) return;
    if (m->n_parts < OXP_MATCH_PARTS) m->parts[m->n_parts] = node;
    m->n_parts++;
}

/* How often the parts read v. */
static uint32_t inner_uses(const oxp_match *m, oxp_val v)
{
    uint32_t uses = 0;
    for (size_t i = 0; i < m->n_parts; i++)
        for (uint32_t k = 0; k < m->parts[i]->n_in; k++) uses += m->parts[i]->in[k] == v;
    return uses;
}

bool oxp_match_closed(const oxp_match *m)
{
    const bool *keep = m->rw->pass->keep;
    if (m->n_parts > OXP_MATCH_PARTS) return false;
    for (size_t i = 0; i < m->n_parts; i++)
        for (uint32_t k = 0; k < m->parts[i]->n_out; k++) {
            const oxp_val v = m->parts[i]->out[k];
            if (v == OXP_NO_VAL || v == m->root->out[0]) continue;
            if (m->rw->uses[v] != inner_uses(m, v) || (keep && keep[v])) return false;
        }
    return true;
}

const oxp_node *oxp_match_take(oxp_match *m, oxp_val v, const oxp_op *op)
{
    const oxp_node *node = oxp_producer(m->rw->from, v);
    if (!node || node->op != op || node->out[0] != v) return NULL;
    take(m, node);
    return node;
}

const oxp_node *oxp_match_take_private(oxp_match *m, oxp_val v, const oxp_op *op)
{
    return oxp_rewrite_private(m->rw, v) ? oxp_match_take(m, v, op) : NULL;
}

/* ---- constants ---- */

bool oxp_near(const oxp_match *m, double found, double ideal)
{
    return fabs(found - ideal) <= m->tolerance * fabs(ideal);
}

bool oxp_match_number(oxp_match *m, oxp_val v, double *number)
{
    const oxp_tensor *t = oxp_const_of(m->rw->from, v);
    const int64_t n = t ? oxp_shape_elements(&t->shape) : 0;
    if (n == 0) return false;
    const double first = oxp_tensor_get(t, 0);
    for (int64_t i = 1; i < n; i++) {
        const double other = oxp_tensor_get(t, i);
        if (memcmp(&other, &first, sizeof first) != 0) return false;
    }
    if (t->dtype == OXP_F16 || t->dtype == OXP_BF16)
        m->tolerance = fmax(m->tolerance, t->dtype == OXP_F16 ? TOLERANCE_F16 : TOLERANCE_BF16);
    *number = first;
    return true;
}

bool oxp_match_is(oxp_match *m, oxp_val v, double ideal)
{
    double number;
    return oxp_match_number(m, v, &number) && oxp_near(m, number, ideal);
}

oxp_val oxp_match_beside_number(oxp_match *m, const oxp_node *node, double *number)
{
    if (node->n_in != 2) return OXP_NO_VAL;
    if (oxp_match_number(m, node->in[1], number)) return node->in[0];
    const bool either = node->op == &oxp_op_Add || node->op == &oxp_op_Mul;
    return either && oxp_match_number(m, node->in[0], number) ? node->in[1] : OXP_NO_VAL;
}

/* ---- shapes ---- */

const oxp_shape *oxp_match_shape(const oxp_match *m, oxp_val v)
{
    return oxp_shape_at(m->rw->from, v);
}

bool oxp_match_like_root(const oxp_match *m, oxp_val v)
{
    return oxp_value_of(m->rw->from, v)->dtype == OXP_F32 &&
           oxp_shape_equal(oxp_match_shape(m, v), oxp_match_shape(m, m->root->out[0]));
}

uint32_t oxp_match_axes(const oxp_match *m, const oxp_node *reduce)
{
    const int rank = oxp_match_shape(m, reduce->in[0])->rank;
    size_t n;
    const int64_t *axes = oxp_attr_ints(reduce, "axes", &n);
    uint32_t mask = 0;
    if (!oxp_attr_int(reduce, "keepdims", 1)) return 0;
    if (n == 0 && !oxp_attr_int(reduce, "noop_with_empty_axes", 0)) mask = (1u << rank) - 1u;
    for (size_t i = 0; i < n; i++) mask |= 1u << (axes[i] < 0 ? axes[i] + rank : axes[i]);
    return mask;
}

int oxp_match_trailing(uint32_t mask, int rank)
{
    const uint32_t all = (1u << rank) - 1u;
    for (int axis = 0; axis < rank; axis++)
        if (mask == (all & ~((1u << axis) - 1u))) return axis;
    return -1;
}

/* ---- polynomials ---- */

static bool poly_add(const oxp_poly *p, const oxp_poly *q, double sign, oxp_poly *out)
{
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++) out->c[i][j] = p->c[i][j] + sign * q->c[i][j];
    return true;
}

/* False when a power becomes higher than the type holds. */
static bool poly_mul(const oxp_poly *p, const oxp_poly *q, oxp_poly *out)
{
    oxp_poly product = {{{0.0, 0.0}}};
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 4; j++) {
            const int a = i & 3, b = i >> 2, s = j & 1, t = j >> 1;
            const double term = p->c[a][s] * q->c[b][t];
            if (fabs(term) <= 0.0) continue;
            if (a + b > 3 || s + t > 1) return false;
            product.c[a + b][s + t] += term;
        }
    *out = product;
    return true;
}

static bool poly_number(const oxp_poly *p, double *number)
{
    for (int i = 1; i < 8; i++)
        if (fabs(p->c[i >> 1][i & 1]) > 0.0) return false;
    *number = p->c[0][0];
    return true;
}

static bool poly_div(const oxp_poly *p, const oxp_poly *q, oxp_poly *out)
{
    double number;
    if (!poly_number(q, &number) || fabs(number) <= 0.0) return false;
    const oxp_poly inverse = {{{1.0 / number, 0.0}}};
    return poly_mul(p, &inverse, out);
}

static bool poly_pow(const oxp_match *m, const oxp_poly *p, const oxp_poly *q, oxp_poly *out)
{
    double number;
    if (!poly_number(q, &number)) return false;
    for (int n = 1; n <= 3; n++) {
        if (n == 1)
            *out = *p;
        else if (!poly_mul(out, p, out))
            return false;
        if (oxp_near(m, number, n)) return true;
    }
    return false;
}

static bool is_arithmetic(const oxp_node *node)
{
    static const oxp_op *const ops[] = {&oxp_op_Add, &oxp_op_Sub, &oxp_op_Mul,
                                        &oxp_op_Div, &oxp_op_Pow, &oxp_op_Neg};
    for (size_t i = 0; node && i < OXP_COUNT(ops); i++)
        if (node->op == ops[i]) return true;
    return false;
}

enum { POLY_DEPTH = 8 };

static bool poly_of(oxp_match *m, oxp_val v, oxp_val x, oxp_val t, int depth, oxp_poly *out)
{
    oxp_poly p, q;
    double number;
    *out = (oxp_poly){{{0.0, 0.0}}};
    if (v == x || v == t) {
        out->c[v == x][v != x] = 1.0;
        return true;
    }
    if (oxp_match_number(m, v, &number)) {
        out->c[0][0] = number;
        return true;
    }
    const oxp_node *node = oxp_producer(m->rw->from, v);
    if (depth == POLY_DEPTH || !is_arithmetic(node)) return false;
    take(m, node);
    if (!poly_of(m, node->in[0], x, t, depth + 1, &p)) return false;
    if (node->op == &oxp_op_Neg) return poly_add(out, &p, -1.0, out);
    if (!poly_of(m, node->in[1], x, t, depth + 1, &q)) return false;
    if (node->op == &oxp_op_Mul) return poly_mul(&p, &q, out);
    if (node->op == &oxp_op_Div) return poly_div(&p, &q, out);
    if (node->op == &oxp_op_Pow) return poly_pow(m, &p, &q, out);
    return poly_add(&p, &q, node->op == &oxp_op_Sub ? -1.0 : 1.0, out);
}

bool oxp_match_poly(oxp_match *m, oxp_val v, oxp_val x, oxp_val t, oxp_poly *out)
{
    return poly_of(m, v, x, t, 0, out);
}

bool oxp_poly_near(const oxp_match *m, const oxp_poly *found, const oxp_poly *ideal)
{
    for (int i = 0; i < 8; i++)
        if (!oxp_near(m, found->c[i >> 1][i & 1], ideal->c[i >> 1][i & 1])) return false;
    return true;
}

static void add_candidate(const oxp_match *m, oxp_val v, oxp_val found[OXP_MATCH_NEAR], size_t *n)
{
    if (v == OXP_NO_VAL || oxp_const_of(m->rw->from, v) || *n == OXP_MATCH_NEAR) return;
    for (size_t i = 0; i < *n; i++)
        if (found[i] == v) return;
    found[(*n)++] = v;
}

size_t oxp_match_nearest(const oxp_match *m, oxp_val v, oxp_val found[OXP_MATCH_NEAR])
{
    size_t n = 0;
    add_candidate(m, v, found, &n);
    for (size_t i = 0; i < n; i++) { /* breadth first: `found` is the queue */
        const oxp_node *node = oxp_producer(m->rw->from, found[i]);
        for (uint32_t k = 0; is_arithmetic(node) && k < node->n_in; k++)
            add_candidate(m, node->in[k], found, &n);
    }
    return n;
}
