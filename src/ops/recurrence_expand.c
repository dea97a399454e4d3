/* recurrence_expand.c - _Recurrence and its adjoint unrolled into simple operators, step after step;
 * the formulas are those of recurrence_loops.inc. A graph of about twenty nodes per step: what rules
 * and exports read, not what runs. */
#include "ops/cell.h"
#include "ops/infer.h"

typedef struct unrolled {
    oxp_build *b;
    oxp_recurrence r;
    oxp_val h0, c0, p, lengths; /* as the node has them */
    oxp_val w, wt;              /* R (gN,N) and its transpose */
    oxp_val zero;               /* (B,N) */
} unrolled;

/* ---- pieces ---- */

static oxp_val input(const oxp_node *node, size_t i)
{
    return oxp_node_has(node, i) ? node->in[i] : OXP_NO_VAL;
}

/* Step t of x (S,B,n) as (B,n). */
static oxp_val at_step(oxp_build *b, oxp_val x, int64_t t)
{
    const oxp_shape *s = oxp_b_shape(b, x);
    const oxp_shape row = oxp_shape_of(2, s->dim + 1);
    return oxp_b_reshape(b, oxp_b_slice(b, x, 0, t, t + 1), &row);
}

/* Columns [k N, (k + n) N) of x (B,gN); of a vector too. */
static oxp_val gate(const unrolled *u, oxp_val x, int k, int n)
{
    return oxp_b_slice(u->b, x, -1, k * u->r.hidden, (k + n) * u->r.hidden);
}

static oxp_val rows_of(const unrolled *u, int k, int n)
{
    return oxp_b_slice(u->b, u->w, 0, k * u->r.hidden, (k + n) * u->r.hidden);
}

static oxp_val one_minus(oxp_build *b, oxp_val x)
{
    return oxp_b_sub(b, oxp_b_scalar(b, 1.0), x);
}

static oxp_val clipped(const unrolled *u, oxp_val z)
{
    return u->r.clip > 0.0 ? OXP_EMIT1(u->b, &oxp_op_Clip, z, OXP_FLOAT("min", -u->r.clip),
                                       OXP_FLOAT("max", u->r.clip))
                           : z;
}

/* Is step t within the item's length? (B,1) */
static oxp_val is_on(const unrolled *u, int64_t t)
{
    const oxp_shape column = oxp_shape_of(2, (const int64_t[]){u->r.batch, 1});
    const oxp_val on = oxp_b_greater(u->b, u->lengths, oxp_b_ints(u->b, &t, 1));
    return oxp_b_reshape(u->b, on, &column);
}

static oxp_val stack(const unrolled *u, oxp_val *steps, int64_t width)
{
    const oxp_shape one = oxp_shape_of(3, (const int64_t[]){1, u->r.batch, width});
    for (int64_t t = 0; t < u->r.steps; t++) steps[t] = oxp_b_reshape(u->b, steps[t], &one);
    return oxp_b_concat(u->b, steps, (size_t)u->r.steps, 0);
}

static oxp_val transposed(oxp_build *b, oxp_val x)
{
    return oxp_b_transpose(b, x, (const int64_t[]){1, 0});
}

/* ---- one step forward: h, c -> z and the new h, c ---- */

static void lstm_step(const unrolled *u, oxp_val a, oxp_val *h, oxp_val *c, oxp_val *z)
{
    oxp_build *b = u->b;
    const oxp_act *act = u->r.act;
    const oxp_val sum = oxp_b_add(b, a, oxp_b_matmul(b, *h, u->wt));
    oxp_val zg[4];
    for (int k = 0; k < 4; k++) zg[k] = gate(u, sum, k, 1);
    if (u->p) {
        zg[0] = oxp_b_add(b, zg[0], oxp_b_mul(b, gate(u, u->p, 0, 1), *c));
        zg[2] = oxp_b_add(b, zg[2], oxp_b_mul(b, gate(u, u->p, 2, 1), *c));
    }
    for (int k = 0; k < 4; k++)
        if (k != 1) zg[k] = clipped(u, zg[k]);
    const oxp_val i = oxp_act_build(b, &act[0], zg[0]);
    const oxp_val f = u->r.input_forget ? one_minus(b, i) : oxp_act_build(b, &act[0], zg[2]);
    const oxp_val g = oxp_act_build(b, &act[1], zg[3]);
    *c = oxp_b_add(b, oxp_b_mul(b, f, *c), oxp_b_mul(b, i, g));
    if (u->p) zg[1] = oxp_b_add(b, zg[1], oxp_b_mul(b, gate(u, u->p, 1, 1), *c));
    zg[1] = clipped(u, zg[1]);
    const oxp_val o = oxp_act_build(b, &act[0], zg[1]);
    *h = oxp_b_mul(b, o, oxp_act_build(b, &act[2], *c));
    if (z) *z = oxp_b_concat(b, zg, 4, 1);
}

static void gru_step(const unrolled *u, oxp_val a, oxp_val *h, oxp_val *z)
{
    oxp_build *b = u->b;
    const oxp_val wzr = transposed(b, rows_of(u, 0, 2)), wn = transposed(b, rows_of(u, 2, 1));
    const oxp_val zr = clipped(u, oxp_b_add(b, gate(u, a, 0, 2), oxp_b_matmul(b, *h, wzr)));
    const oxp_val update = oxp_act_build(b, &u->r.act[0], gate(u, zr, 0, 1)),
                  reset = oxp_act_build(b, &u->r.act[0], gate(u, zr, 1, 1));
    oxp_val q = OXP_NO_VAL, zn;
    if (u->r.linear_before_reset) {
        q = oxp_b_matmul(b, *h, wn);
        if (u->p) q = oxp_b_add(b, q, u->p);
        zn = oxp_b_mul(b, reset, q);
    } else {
        zn = oxp_b_matmul(b, oxp_b_mul(b, reset, *h), wn);
    }
    zn = clipped(u, oxp_b_add(b, gate(u, a, 2, 1), zn));
    const oxp_val n = oxp_act_build(b, &u->r.act[1], zn);
    *h = oxp_b_add(b, oxp_b_mul(b, one_minus(b, update), n), oxp_b_mul(b, update, *h));
    if (z) *z = oxp_b_concat(b, (const oxp_val[]){zr, zn, q}, q ? 3 : 2, 1);
}

static void rnn_step(const unrolled *u, oxp_val a, oxp_val *h, oxp_val *z)
{
    const oxp_val sum = clipped(u, oxp_b_add(u->b, a, oxp_b_matmul(u->b, *h, u->wt)));
    *h = oxp_act_build(u->b, &u->r.act[0], sum);
    if (z) *z = sum;
}

/* ---- forward ---- */

static oxp_status start(oxp_build *b, const oxp_node *node, const oxp_shape *a, oxp_val w,
                        unrolled *u)
{
    OXP_TRY(b->status);
    *u = (unrolled){.b = b, .w = w};
    OXP_TRY(oxp_recurrence_read(b->ctx, node, a, &u->r));
    u->wt = transposed(b, w);
    u->zero = oxp_b_full(b, &(oxp_shape){.rank = 2, .dim = {u->r.batch, u->r.hidden}}, 0.0);
    return b->status;
}

typedef struct series { /* per step */
    oxp_val *y, *z, *cs;
} series;

/* What one step that is not on leaves: the state as it was, and zeros. */
static void hold(const unrolled *u, int64_t t, oxp_val h_before, oxp_val c_before, oxp_val *h,
                 oxp_val *c, const series *s)
{
    oxp_build *b = u->b;
    const oxp_val on = is_on(u, t), nothing = oxp_b_scalar(b, 0.0);
    s->y[t] = oxp_b_where(b, on, *h, nothing);
    if (s->z) s->z[t] = oxp_b_where(b, on, s->z[t], nothing);
    *h = oxp_b_where(b, on, *h, h_before);
    if (u->r.cell != OXP_CELL_LSTM) return;
    s->cs[t] = oxp_b_where(b, on, *c, nothing);
    *c = oxp_b_where(b, on, *c, c_before);
}

oxp_status oxp_recurrence_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    unrolled u;
    OXP_TRY(start(b, node, oxp_b_shape(b, node->in[0]), node->in[1], &u));
    u.p = input(node, 4);
    u.lengths = input(node, 5);
    const size_t n = (size_t)u.r.steps;
    series s = {OXP_NEW(b->ctx->scratch, oxp_val, n + 1), OXP_NEW(b->ctx->scratch, oxp_val, n + 1),
                OXP_NEW(b->ctx->scratch, oxp_val, n + 1)};
    OXP_FAIL_IF(b->ctx, !s.y || !s.z || !s.cs, OXP_ENOMEM, "out of memory");
    const uint32_t z_out = u.r.cell == OXP_CELL_LSTM ? 3 : 2; /* as in recurrence.c */
    if (node->n_out <= z_out) s.z = NULL;
    oxp_val h = input(node, 2) ? node->in[2] : u.zero, c = input(node, 3) ? node->in[3] : u.zero;
    for (int64_t k = 0; k < u.r.steps; k++) {
        const int64_t t = u.r.reverse ? u.r.steps - 1 - k : k;
        const oxp_val a = at_step(b, node->in[0], t), h_before = h, c_before = c;
        oxp_val *z = s.z ? &s.z[t] : NULL;
        if (u.r.cell == OXP_CELL_LSTM)
            lstm_step(&u, a, &h, &c, z);
        else if (u.r.cell == OXP_CELL_GRU)
            gru_step(&u, a, &h, z);
        else
            rnn_step(&u, a, &h, z);
        s.y[t] = h;
        s.cs[t] = c;
        if (u.lengths) hold(&u, t, h_before, c_before, &h, &c, &s);
    }
    const oxp_shape none = oxp_shape_of(3, (const int64_t[]){0, u.r.batch, u.r.hidden}),
                    none_z = oxp_shape_of(3, (const int64_t[]){0, u.r.batch, u.r.width});
    const bool empty = u.r.steps == 0;
    out[0] = empty ? oxp_b_full(b, &none, 0.0) : stack(&u, s.y, u.r.hidden);
    if (node->n_out > 1) out[1] = h;
    if (node->n_out > 2) out[2] = c;
    if (node->n_out > z_out)
        out[z_out] = empty ? oxp_b_full(b, &none_z, 0.0) : stack(&u, s.z, u.r.width);
    if (node->n_out > 4) out[4] = empty ? out[0] : stack(&u, s.cs, u.r.hidden);
    return b->status;
}

/* ---- adjoint ---- */

typedef struct sums { /* of the weights' adjoints over steps; OXP_NO_VAL: nothing yet */
    oxp_val dr, dp;
    bool wanted;
} sums;

static oxp_val added(oxp_build *b, oxp_val sum, oxp_val x)
{
    return sum == OXP_NO_VAL ? x : oxp_b_add(b, sum, x);
}

/* dy f'(z), 0 where z was clipped */
static oxp_val gate_grad(const unrolled *u, const oxp_act *act, oxp_val z, oxp_val dy)
{
    oxp_build *b = u->b;
    const oxp_val dz = oxp_act_build_grad(b, act, z, dy);
    if (!(u->r.clip > 0.0)) return dz;
    const oxp_val inside =
        oxp_b_greater(b, oxp_b_scalar(b, u->r.clip), oxp_b_unary(b, &oxp_op_Abs, z));
    return oxp_b_where(b, inside, dz, oxp_b_scalar(b, 0.0));
}

/* Sum over items of y' x: (m,n) from (B,m) and (B,n). */
static oxp_val outer(oxp_build *b, oxp_val y, oxp_val x)
{
    return oxp_b_matmul(b, transposed(b, y), x);
}

static oxp_val over_items(oxp_build *b, oxp_val x)
{
    return oxp_b_reduce_sum(b, x, (const int64_t[]){0}, 1, false);
}

typedef struct step_back {            /* of one step */
    oxp_val z, h_before, c_before, c; /* given */
    oxp_val dh, dc;                   /* in: after the step; out: before it */
    oxp_val dz;                       /* made */
} step_back;

static void lstm_back(const unrolled *u, step_back *s, sums *w)
{
    oxp_build *b = u->b;
    const oxp_act *act = u->r.act;
    const oxp_val zi = gate(u, s->z, 0, 1), zo = gate(u, s->z, 1, 1), zf = gate(u, s->z, 2, 1),
                  zg = gate(u, s->z, 3, 1);
    const oxp_val i = oxp_act_build(b, &act[0], zi), o = oxp_act_build(b, &act[0], zo),
                  g = oxp_act_build(b, &act[1], zg);
    const oxp_val f = u->r.input_forget ? one_minus(b, i) : oxp_act_build(b, &act[0], zf);
    oxp_val dz[4];
    dz[1] = gate_grad(u, &act[0], zo, oxp_b_mul(b, s->dh, oxp_act_build(b, &act[2], s->c)));
    oxp_val dc = oxp_b_add(b, s->dc, oxp_act_build_grad(b, &act[2], s->c, oxp_b_mul(b, s->dh, o)));
    if (u->p) dc = oxp_b_add(b, dc, oxp_b_mul(b, dz[1], gate(u, u->p, 1, 1)));
    const oxp_val di = u->r.input_forget ? oxp_b_sub(b, g, s->c_before) : g;
    dz[0] = gate_grad(u, &act[0], zi, oxp_b_mul(b, dc, di));
    dz[2] = u->r.input_forget ? u->zero : gate_grad(u, &act[0], zf, oxp_b_mul(b, dc, s->c_before));
    dz[3] = gate_grad(u, &act[1], zg, oxp_b_mul(b, dc, i));
    s->dc = oxp_b_mul(b, dc, f);
    if (u->p) {
        s->dc = oxp_b_add(b, s->dc, oxp_b_mul(b, dz[0], gate(u, u->p, 0, 1)));
        s->dc = oxp_b_add(b, s->dc, oxp_b_mul(b, dz[2], gate(u, u->p, 2, 1)));
    }
    s->dz = oxp_b_concat(b, dz, 4, 1);
    s->dh = oxp_b_matmul(b, s->dz, u->w);
    if (!w->wanted) return;
    w->dr = added(b, w->dr, outer(b, s->dz, s->h_before));
    const oxp_val dp[] = {over_items(b, oxp_b_mul(b, dz[0], s->c_before)),
                          over_items(b, oxp_b_mul(b, dz[1], s->c)),
                          over_items(b, oxp_b_mul(b, dz[2], s->c_before))};
    w->dp = added(b, w->dp, oxp_b_concat(b, dp, 3, 0));
}

static void gru_back(const unrolled *u, step_back *s, sums *w)
{
    oxp_build *b = u->b;
    const oxp_act *act = u->r.act;
    const oxp_val zz = gate(u, s->z, 0, 1), zr = gate(u, s->z, 1, 1), zn = gate(u, s->z, 2, 1);
    const oxp_val update = oxp_act_build(b, &act[0], zz), reset = oxp_act_build(b, &act[0], zr),
                  n = oxp_act_build(b, &act[1], zn), wn = rows_of(u, 2, 1);
    const oxp_val dn = gate_grad(u, &act[1], zn, oxp_b_mul(b, s->dh, one_minus(b, update)));
    const oxp_val dz = gate_grad(u, &act[0], zz, oxp_b_mul(b, s->dh, oxp_b_sub(b, s->h_before, n)));
    oxp_val before = oxp_b_mul(b, s->dh, update), dr, dq, seen;
    if (u->r.linear_before_reset) {
        dr = oxp_b_mul(b, dn, gate(u, s->z, 3, 1));
        dq = oxp_b_mul(b, dn, reset);
        seen = s->h_before;
        before = oxp_b_add(b, before, oxp_b_matmul(b, dq, wn));
    } else {
        const oxp_val drh = oxp_b_matmul(b, dn, wn);
        dr = oxp_b_mul(b, drh, s->h_before);
        dq = dn;
        seen = oxp_b_mul(b, reset, s->h_before);
        before = oxp_b_add(b, before, oxp_b_mul(b, drh, reset));
    }
    const oxp_val dzr[] = {dz, gate_grad(u, &act[0], zr, dr), dn};
    const oxp_val two = oxp_b_concat(b, dzr, 2, 1);
    s->dh = oxp_b_add(b, before, oxp_b_matmul(b, two, rows_of(u, 0, 2)));
    s->dz = oxp_b_concat(b, dzr, 3, 1);
    if (!w->wanted) return;
    const oxp_val parts[] = {outer(b, two, s->h_before), outer(b, dq, seen)};
    w->dr = added(b, w->dr, oxp_b_concat(b, parts, 2, 0));
    if (u->r.linear_before_reset) w->dp = added(b, w->dp, over_items(b, dq));
}

static void rnn_back(const unrolled *u, step_back *s, sums *w)
{
    s->dz = gate_grad(u, &u->r.act[0], s->z, s->dh);
    s->dh = oxp_b_matmul(u->b, s->dz, u->w);
    if (w->wanted) w->dr = added(u->b, w->dr, outer(u->b, s->dz, s->h_before));
}

/* The state before step t: of the step before in the order of the recurrence, or the initial one
 * where t is the item's first. */
static oxp_val before(const unrolled *u, oxp_val all, oxp_val initial, int64_t t)
{
    oxp_build *b = u->b;
    const int64_t prev = u->r.reverse ? t + 1 : t - 1;
    if (initial == OXP_NO_VAL) initial = u->zero;
    if (prev < 0 || prev >= u->r.steps) return initial;
    const oxp_val state = at_step(b, all, prev);
    return u->lengths && u->r.reverse ? oxp_b_where(b, is_on(u, prev), state, initial) : state;
}

/* Where the item is over, adjoints of the state pass and nothing else happens. */
static void hold_back(const unrolled *u, int64_t t, oxp_val dh, oxp_val dc, step_back *s)
{
    oxp_build *b = u->b;
    const oxp_val on = is_on(u, t);
    s->dh = oxp_b_where(b, on, s->dh, dh);
    s->dc = oxp_b_where(b, on, s->dc, dc);
    s->dz = oxp_b_where(b, on, s->dz, oxp_b_scalar(b, 0.0));
}

oxp_status oxp_recurrence_grad_expand(oxp_build *b, const oxp_node *node, oxp_val *out)
{
    enum { R, Z, Y, CS, H0, C0, P, LENGTHS, DY, DH, DC }; /* as in recurrence.c */
    unrolled u;
    oxp_shape a = *oxp_b_shape(b, node->in[Z]);
    const oxp_shape r = *oxp_b_shape(b, node->in[R]);
    a.dim[2] = r.dim[0];
    OXP_TRY(start(b, node, &a, node->in[R], &u));
    u.p = input(node, P);
    u.lengths = input(node, LENGTHS);
    u.h0 = input(node, H0);
    u.c0 = input(node, C0);
    oxp_val *da = OXP_NEW(b->ctx->scratch, oxp_val, (size_t)u.r.steps + 1);
    OXP_NOMEM_IF(b->ctx, da);
    const bool lstm = u.r.cell == OXP_CELL_LSTM;
    step_back s = {.dh = input(node, DH) ? node->in[DH] : u.zero,
                   .dc = input(node, DC) ? node->in[DC] : u.zero};
    sums w = {.wanted = node->n_out > 3};
    const oxp_val nothing = oxp_b_scalar(b, 0.0);
    for (int64_t k = u.r.steps; k-- > 0;) {
        const int64_t t = u.r.reverse ? u.r.steps - 1 - k : k;
        const oxp_val dh = s.dh, dc = s.dc;
        s.z = at_step(b, node->in[Z], t);
        s.h_before = before(&u, node->in[Y], u.h0, t);
        if (lstm) s.c_before = before(&u, node->in[CS], u.c0, t);
        if (lstm) s.c = at_step(b, node->in[CS], t);
        if (input(node, DY)) s.dh = oxp_b_add(b, s.dh, at_step(b, node->in[DY], t));
        sums step = {.wanted = w.wanted};
        if (u.lengths) { /* what is over must not count in the sums over items */
            const oxp_val on = is_on(&u, t);
            s.dh = oxp_b_where(b, on, s.dh, nothing);
            s.dc = oxp_b_where(b, on, s.dc, nothing);
        }
        if (lstm)
            lstm_back(&u, &s, &step);
        else if (u.r.cell == OXP_CELL_GRU)
            gru_back(&u, &s, &step);
        else
            rnn_back(&u, &s, &step);
        if (step.dr) w.dr = added(b, w.dr, step.dr);
        if (step.dp) w.dp = added(b, w.dp, step.dp);
        if (u.lengths) hold_back(&u, t, dh, dc, &s);
        da[t] = s.dz;
    }
    const oxp_shape vector = oxp_shape_of(1, (const int64_t[]){lstm ? 3 * u.r.hidden : u.r.hidden});
    out[0] = u.r.steps ? stack(&u, da, a.dim[2]) : oxp_b_full(b, &a, 0.0);
    if (node->n_out > 1) out[1] = s.dh;
    if (node->n_out > 2) out[2] = s.dc;
    if (node->n_out > 3) out[3] = w.dr ? w.dr : oxp_b_full(b, &r, 0.0);
    if (node->n_out > 4) out[4] = w.dp ? w.dp : oxp_b_full(b, &vector, 0.0);
    return b->status;
}
