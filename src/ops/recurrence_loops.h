/* recurrence_loops.h - one direction of an RNN, GRU or LSTM and its adjoint, as loops over steps
 * and items. Included once per kind of float; before that the includer defines
 *
 *   real                               float or double
 *   activate(act, n, x, y)             y = f(x)
 *   activate_grad(act, n, x, dy, dx)   dx = dy f'(x)
 *   add_product(r, rows, n, x, y)      y[rows] += R[rows][n] x
 *   add_back(r, rows, n, y, x)         x[n] += R[rows][n]' y
 *   add_outer(r, rows, n, y, x)        R[rows][n] += y x', unless r is NULL
 *
 * Notation: z are the sums that go into the gates' activations, after clipping; a clipped sum passes
 * no adjoint on. Items that are over (t >= their length) keep their state and give y = 0.
 *
 *   RNN   h' = f(a + R h)
 *   GRU   z = f(a_z + R_z h), r = f(a_r + R_r h), n = g(a_n + R_n (r h))
 *         or, linear before reset, n = g(a_n + r (R_n h + p));  h' = (1 - z) n + z h
 *   LSTM  i = f(a_i + R_i h + p_i c), f = f(a_f + R_f h + p_f c) or 1 - i, g = g(a_c + R_c h)
 *         c' = f c + i g, o = f(a_o + R_o h + p_o c'), h' = o h(c') */

/* Where one item stands at one step. */
typedef struct cell_at {
    const oxp_recurrence *r;
    const oxp_recurrence_data *d;
    int64_t t, item;
    bool first;        /* the first step of the item: the state before it is the initial one */
    const real *h, *c; /* before; never NULL */
    const real *zeros; /* hidden of them */
} cell_at;

static inline real *real_at(void *data, int64_t offset)
{
    return data ? (real *)data + offset : NULL;
}

static inline const real *const_at(const void *data, int64_t offset)
{
    return data ? (const real *)data + offset : NULL;
}

static void clip_row(double limit, int64_t n, real *z)
{
    const real top = (real)limit;
    for (int64_t i = 0; limit > 0.0 && i < n; i++)
        z[i] = z[i] > top ? top : z[i] < -top ? -top : z[i];
}

/* dz = dy f'(z), 0 where z was clipped */
static void gate_grad(const oxp_recurrence *r, const oxp_act *act, const real *z, const real *dy,
                      real *dz)
{
    activate_grad(act, r->hidden, z, dy, dz);
    const real top = (real)r->clip;
    for (int64_t i = 0; r->clip > 0.0 && i < r->hidden; i++)
        if (!(z[i] > -top && z[i] < top)) dz[i] = 0;
}

static int64_t length_of(const oxp_recurrence *r, const oxp_recurrence_data *d, int64_t item)
{
    return d->lens ? d->lens[item] : r->steps;
}

/* Step t of an item that is not over, in the order of the recurrence. */
static cell_at stand(const oxp_recurrence *r, const oxp_recurrence_data *d, int64_t t, int64_t item,
                     const real *zeros)
{
    const int64_t n = r->hidden, before = r->reverse ? t + 1 : t - 1;
    cell_at at = {r, d, t, item, false, NULL, NULL, zeros};
    at.first = r->reverse ? t == length_of(r, d, item) - 1 : t == 0;
    const int64_t offset = at.first ? item * n : (before * r->batch + item) * n;
    const void *y = d->out_y ? d->out_y : d->y, *cs = d->out_cs ? d->out_cs : d->cs;
    at.h = const_at(at.first ? d->h0 : y, offset);
    at.c = const_at(at.first ? d->c0 : cs, offset);
    if (!at.h) at.h = zeros;
    if (!at.c) at.c = zeros;
    return at;
}

/* ---- forward ---- */

static void lstm_step(const cell_at *at, real *z, real *y, real *c, real *gates)
{
    const oxp_recurrence *r = at->r;
    const int64_t n = r->hidden;
    const real *p = const_at(at->d->p, 0);
    add_product(const_at(at->d->r, 0), 4 * n, n, at->h, z);
    for (int64_t k = 0; p && k < n; k++) {
        z[k] += p[k] * at->c[k];
        z[2 * n + k] += p[2 * n + k] * at->c[k];
    }
    clip_row(r->clip, n, z);
    clip_row(r->clip, 2 * n, z + 2 * n);
    real *i = gates, *f = gates + n, *g = gates + 2 * n, *o = gates + 3 * n;
    activate(&r->act[0], n, z, i);
    activate(&r->act[0], n, z + 2 * n, f);
    activate(&r->act[1], n, z + 3 * n, g);
    for (int64_t k = 0; r->input_forget && k < n; k++) f[k] = 1 - i[k];
    for (int64_t k = 0; k < n; k++) c[k] = f[k] * at->c[k] + i[k] * g[k];
    for (int64_t k = 0; p && k < n; k++) z[n + k] += p[n + k] * c[k];
    clip_row(r->clip, n, z + n);
    activate(&r->act[0], n, z + n, o);
    activate(&r->act[2], n, c, y);
    for (int64_t k = 0; k < n; k++) y[k] *= o[k];
}

static void gru_step(const cell_at *at, real *z, real *y, real *gates)
{
    const oxp_recurrence *r = at->r;
    const int64_t n = r->hidden;
    const real *w = const_at(at->d->r, 0), *p = const_at(at->d->p, 0);
    real *u = gates, *reset = gates + n, *m = gates + 2 * n;
    add_product(w, 2 * n, n, at->h, z);
    clip_row(r->clip, 2 * n, z);
    activate(&r->act[0], n, z, u);
    activate(&r->act[0], n, z + n, reset);
    if (r->linear_before_reset) {
        real *q = z + 3 * n;
        for (int64_t k = 0; k < n; k++) q[k] = p ? p[k] : 0;
        add_product(w + 2 * n * n, n, n, at->h, q);
        for (int64_t k = 0; k < n; k++) z[2 * n + k] += reset[k] * q[k];
    } else {
        for (int64_t k = 0; k < n; k++) m[k] = reset[k] * at->h[k];
        add_product(w + 2 * n * n, n, n, m, z + 2 * n);
    }
    clip_row(r->clip, n, z + 2 * n);
    activate(&r->act[1], n, z + 2 * n, m);
    for (int64_t k = 0; k < n; k++) y[k] = (1 - u[k]) * m[k] + u[k] * at->h[k];
}

static void rnn_step(const cell_at *at, real *z, real *y)
{
    const int64_t n = at->r->hidden;
    add_product(const_at(at->d->r, 0), n, n, at->h, z);
    clip_row(at->r->clip, n, z);
    activate(&at->r->act[0], n, z, y);
}

static void copy_row(real *to, const real *from, int64_t n)
{
    for (int64_t k = 0; to && k < n; k++) to[k] = from[k];
}

/* Writes all of out_y, out_z and, for LSTM, out_cs, which must be there; out_h, out_c may be NULL.
 * `rows`: OXP_CELL_ROWS hidden numbers. */
static void run_forward(const oxp_recurrence *r, const oxp_recurrence_data *d, real *rows)
{
    const int64_t n = r->hidden, a_width = r->gates * n;
    real *zeros = rows, *gates = rows + n;
    for (int64_t k = 0; k < n; k++) zeros[k] = 0;
    for (int64_t item = 0; item < r->batch; item++) {
        copy_row(real_at(d->out_h, item * n), d->h0 ? const_at(d->h0, item * n) : zeros, n);
        copy_row(real_at(d->out_c, item * n), d->c0 ? const_at(d->c0, item * n) : zeros, n);
    }
    for (int64_t s = 0; s < r->steps; s++) {
        const int64_t t = r->reverse ? r->steps - 1 - s : s;
        for (int64_t item = 0; item < r->batch; item++) {
            const int64_t row = t * r->batch + item;
            real *z = real_at(d->out_z, row * r->width), *y = real_at(d->out_y, row * n),
                 *c = real_at(d->out_cs, row * n);
            for (int64_t k = 0; k < r->width; k++) z[k] = 0;
            if (t >= length_of(r, d, item)) {
                copy_row(y, zeros, n);
                copy_row(c, zeros, n);
                continue;
            }
            copy_row(z, const_at(d->a, row * a_width), a_width);
            const cell_at at = stand(r, d, t, item, zeros);
            if (r->cell == OXP_CELL_LSTM)
                lstm_step(&at, z, y, c, gates);
            else if (r->cell == OXP_CELL_GRU)
                gru_step(&at, z, y, gates);
            else
                rnn_step(&at, z, y);
            copy_row(real_at(d->out_h, item * n), y, n);
            if (c) copy_row(real_at(d->out_c, item * n), c, n);
        }
    }
}

/* ---- adjoint ---- */

/* dh, dc: in: of the state after the step; out: of the state before it. rows: 9 hidden numbers. */
static void lstm_back(const cell_at *at, const real *z, real *dz, real *dh, real *dc, real *rows)
{
    const oxp_recurrence *r = at->r;
    const oxp_recurrence_data *d = at->d;
    const int64_t n = r->hidden;
    const real *p = const_at(d->p, 0), *c = const_at(d->cs, (at->t * r->batch + at->item) * n);
    real *dp = real_at(d->dp, 0), *i = rows, *o = rows + n, *f = rows + 2 * n, *g = rows + 3 * n,
         *hc = rows + 4 * n, *u = rows + 5 * n;
    activate(&r->act[0], n, z, i);
    activate(&r->act[0], n, z + n, o);
    activate(&r->act[0], n, z + 2 * n, f);
    activate(&r->act[1], n, z + 3 * n, g);
    activate(&r->act[2], n, c, hc);
    for (int64_t k = 0; r->input_forget && k < n; k++) f[k] = 1 - i[k];
    for (int64_t k = 0; k < n; k++) u[k] = dh[k] * hc[k];
    gate_grad(r, &r->act[0], z + n, u, dz + n);
    for (int64_t k = 0; k < n; k++) u[k] = dh[k] * o[k];
    activate_grad(&r->act[2], n, c, u, hc);
    for (int64_t k = 0; k < n; k++) dc[k] += hc[k] + (p ? dz[n + k] * p[n + k] : 0);
    for (int64_t k = 0; k < n; k++) u[k] = dc[k] * (g[k] - (r->input_forget ? at->c[k] : 0));
    gate_grad(r, &r->act[0], z, u, dz);
    for (int64_t k = 0; k < n; k++) u[k] = dc[k] * at->c[k];
    gate_grad(r, &r->act[0], z + 2 * n, u, dz + 2 * n);
    for (int64_t k = 0; r->input_forget && k < n; k++) dz[2 * n + k] = 0;
    for (int64_t k = 0; k < n; k++) u[k] = dc[k] * i[k];
    gate_grad(r, &r->act[1], z + 3 * n, u, dz + 3 * n);
    for (int64_t k = 0; k < n; k++)
        dc[k] = dc[k] * f[k] + (p ? dz[k] * p[k] + dz[2 * n + k] * p[2 * n + k] : 0);
    for (int64_t k = 0; dp && k < n; k++) {
        dp[k] += dz[k] * at->c[k];
        dp[n + k] += dz[n + k] * c[k];
        dp[2 * n + k] += dz[2 * n + k] * at->c[k];
    }
    for (int64_t k = 0; k < n; k++) dh[k] = 0;
    add_back(const_at(d->r, 0), 4 * n, n, dz, dh);
    add_outer(real_at(d->dr, 0), 4 * n, n, dz, at->h);
}

static void gru_back(const cell_at *at, const real *z, real *dz, real *dh, real *rows)
{
    const oxp_recurrence *r = at->r;
    const oxp_recurrence_data *d = at->d;
    const int64_t n = r->hidden;
    const real *w = const_at(d->r, 0), *q = z + 3 * n;
    real *dw = real_at(d->dr, 0), *dp = real_at(d->dp, 0), *u = rows, *reset = rows + n,
         *m = rows + 2 * n, *v = rows + 3 * n, *before = rows + 4 * n, *dn = dz + 2 * n;
    activate(&r->act[0], n, z, u);
    activate(&r->act[0], n, z + n, reset);
    activate(&r->act[1], n, z + 2 * n, m);
    for (int64_t k = 0; k < n; k++) {
        before[k] = dh[k] * u[k];
        v[k] = dh[k] * (1 - u[k]);
    }
    gate_grad(r, &r->act[1], z + 2 * n, v, dn);
    for (int64_t k = 0; k < n; k++) v[k] = dh[k] * (at->h[k] - m[k]);
    gate_grad(r, &r->act[0], z, v, dz);
    if (r->linear_before_reset) {
        for (int64_t k = 0; k < n; k++) {
            v[k] = dn[k] * q[k];
            m[k] = dn[k] * reset[k]; /* dq */
            if (dp) dp[k] += m[k];
        }
        add_back(w + 2 * n * n, n, n, m, before);
        add_outer(dw ? dw + 2 * n * n : NULL, n, n, m, at->h);
    } else {
        for (int64_t k = 0; k < n; k++) m[k] = 0;
        add_back(w + 2 * n * n, n, n, dn, m); /* of r h */
        for (int64_t k = 0; k < n; k++) {
            v[k] = reset[k] * at->h[k];
            before[k] += m[k] * reset[k];
        }
        add_outer(dw ? dw + 2 * n * n : NULL, n, n, dn, v);
        for (int64_t k = 0; k < n; k++) v[k] = m[k] * at->h[k];
    }
    gate_grad(r, &r->act[0], z + n, v, dz + n);
    add_back(w, 2 * n, n, dz, before);
    add_outer(dw, 2 * n, n, dz, at->h);
    copy_row(dh, before, n);
}

static void rnn_back(const cell_at *at, const real *z, real *dz, real *dh)
{
    const int64_t n = at->r->hidden;
    gate_grad(at->r, &at->r->act[0], z, dh, dz);
    for (int64_t k = 0; k < n; k++) dh[k] = 0;
    add_back(const_at(at->d->r, 0), n, n, dz, dh);
    add_outer(real_at(at->d->dr, 0), n, n, dz, at->h);
}

/* dh, dc of one item run from its last step to its first. rows: OXP_CELL_ROWS hidden numbers. */
static void back_item(const oxp_recurrence *r, const oxp_recurrence_data *d, int64_t item, real *dh,
                      real *dc, real *rows)
{
    const int64_t n = r->hidden, a_width = r->gates * n;
    const real *zeros = rows;
    for (int64_t s = r->steps; s-- > 0;) {
        const int64_t t = r->reverse ? r->steps - 1 - s : s, row = t * r->batch + item;
        const real *dy = const_at(d->dy, row * n);
        real *dz = real_at(d->da, row * a_width);
        if (t >= length_of(r, d, item)) {
            for (int64_t k = 0; k < a_width; k++) dz[k] = 0;
            continue;
        }
        for (int64_t k = 0; dy && k < n; k++) dh[k] += dy[k];
        const cell_at at = stand(r, d, t, item, zeros);
        const real *z = const_at(d->z, row * r->width);
        if (r->cell == OXP_CELL_LSTM)
            lstm_back(&at, z, dz, dh, dc, rows + n);
        else if (r->cell == OXP_CELL_GRU)
            gru_back(&at, z, dz, dh, rows + n);
        else
            rnn_back(&at, z, dz, dh);
    }
}

/* Writes all of da, dh0 and dc0, and dr and dp where they are not NULL. rows: OXP_CELL_ROWS hidden numbers. */
static void run_backward(const oxp_recurrence *r, const oxp_recurrence_data *d, real *rows)
{
    const int64_t n = r->hidden, p_width = r->cell == OXP_CELL_LSTM ? 3 * n : n;
    for (int64_t k = 0; k < n; k++) rows[k] = 0;
    for (int64_t k = 0; d->dr && k < r->gates * n * n; k++) *real_at(d->dr, k) = 0;
    for (int64_t k = 0; d->dp && k < p_width; k++) *real_at(d->dp, k) = 0;
    for (int64_t item = 0; item < r->batch; item++) {
        real *dh = real_at(d->dh0, item * n), *dc = real_at(d->dc0, item * n);
        copy_row(dh, d->dh ? const_at(d->dh, item * n) : rows, n);
        copy_row(dc, d->dc ? const_at(d->dc, item * n) : rows, n);
        back_item(r, d, item, dh, dc, rows);
    }
}
