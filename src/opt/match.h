/* match.h - the words in which the patterns of raise are written: "v is made by a Mul, one operand
 * is the number 0.5".
 *
 * A match is one attempt at a group of nodes that ends in `root`. Helpers named `take` add the node
 * they find to the group (its `parts`); what the group reads from outside is noted as the
 * composite's operands. An attempt that failed half-way is undone with oxp_match_retry. A group may
 * be replaced only if it is closed: what its parts make, but for the root's value, is read inside
 * the group only and nobody asked to keep it.
 *
 * Numbers in a model are rounded, so they are compared with a relative tolerance of 1e-4, more
 * where they are stored in 16 bits. */
#ifndef OXP_OPT_MATCH_H
#define OXP_OPT_MATCH_H

#include "opt/rewrite.h"

enum { OXP_MATCH_PARTS = 32, OXP_MATCH_NEAR = 32 };

typedef struct oxp_match {
    const oxp_rewrite *rw;
    const oxp_node *root;
    const oxp_node *parts[OXP_MATCH_PARTS]; /* the root first */
    size_t n_parts;                         /* more than fit: never closed */
    double tolerance;                       /* relative, of the numbers read so far */
    /* what replaces them */
    const oxp_op *op;
    oxp_val in[5]; /* values of the old graph, or OXP_NO_VAL */
    size_t n_in;
    oxp_attr attrs[2];
    size_t n_attrs;
    int64_t perm[OXP_MAX_RANK]; /* of the Transpose that an operand needs first (attention) */
} oxp_match;

void oxp_match_retry(oxp_match *m); /* back to the root alone */
bool oxp_match_closed(const oxp_match *m);

/* The node that makes v, taken, if it is an `op`; else NULL. */
const oxp_node *oxp_match_take(oxp_match *m, oxp_val v, const oxp_op *op);
/* The same, but only if nobody else reads v: for optional outer layers of a pattern. */
const oxp_node *oxp_match_take_private(oxp_match *m, oxp_val v, const oxp_op *op);

/* ---- constants ---- */
bool oxp_near(const oxp_match *m, double found, double ideal);
/* v is a constant whose elements are all the same number. */
bool oxp_match_number(oxp_match *m, oxp_val v, double *number);
bool oxp_match_is(oxp_match *m, oxp_val v, double ideal);
/* A node of two inputs, one of which (either for Add and Mul, the second for Sub, Div and Pow)
 * is a number: the other, or OXP_NO_VAL. */
oxp_val oxp_match_beside_number(oxp_match *m, const oxp_node *node, double *number);

/* ---- shapes ---- */
const oxp_shape *oxp_match_shape(const oxp_match *m, oxp_val v);
/* v is a float of the shape that the root makes. */
bool oxp_match_like_root(const oxp_match *m, oxp_val v);
/* The axes of a reduction that keeps them as 1 (bit a: axis a); 0 for other reductions. */
uint32_t oxp_match_axes(const oxp_match *m, const oxp_node *reduce);
/* The axis from which on all axes are in the mask, and none before; -1 when the mask is not of
 * this form. */
int oxp_match_trailing(uint32_t mask, int rank);

/* ---- polynomials: any order and any nesting of + - * / and powers ---- */

/* sum of c[i][j] x^i t^j */
typedef struct oxp_poly {
    double c[4][2];
} oxp_poly;

/* v as a polynomial of x and t (t may be OXP_NO_VAL) with numbers as coefficients; takes the
 * nodes between. */
bool oxp_match_poly(oxp_match *m, oxp_val v, oxp_val x, oxp_val t, oxp_poly *out);
bool oxp_poly_near(const oxp_match *m, const oxp_poly *found, const oxp_poly *ideal);

/* The values that arithmetic leads to from v backwards, nearest first, v included: the
 * candidates for x and t. */
size_t oxp_match_nearest(const oxp_match *m, oxp_val v, oxp_val found[OXP_MATCH_NEAR]);

#endif
