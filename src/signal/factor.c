/* factor.c - see factor.h.
 *
 * Start: NNDSVD (Boutsidis, Gallopoulos 2008): of each singular pair (u, v) the parts of one sign, whichever
 * weigh more. Singular pairs come from the smaller matrix of inner products, one by one, each taken away
 * before the next. Then HALS (Cichocki, Phan 2009): every column of w and row of h in turn becomes the best
 * non-negative one for all others fixed,
 *
 *   w_j = max(0, w_j + (x h' - w h h')_j / (h h')_jj)        and h_j likewise,
 *
 * so that the error never grows. It ends when a round gains less than 1e-12 of |x|^2. */
#include "signal/factor.h"

#include "signal/eigen.h"
#include <math.h>
#include <string.h>

/* to (a, b) = p q' for p (a, n), q (b, n), elements of rows `step` apart */
static void products(const double *p, size_t a, const double *q, size_t b, size_t n, size_t row_p,
                     size_t row_q, size_t step_p, size_t step_q, double *to)
{
    for (size_t i = 0; i < a; i++)
        for (size_t j = 0; j < b; j++) {
            const double *x = p + i * row_p, *y = q + j * row_q;
            double sum = 0.0;
            for (size_t c = 0; c < n; c++) sum += x[c * step_p] * y[c * step_q];
            to[i * b + j] = sum;
        }
}

static double norm_of_sign(const double *x, size_t n, double sign)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        if (sign * x[i] > 0.0) sum += x[i] * x[i];
    return sqrt(sum);
}

/* Column j of w and row j of h from the singular pair sigma u v'. */
static void start_pair(const double *u, const double *v, double sigma, size_t m, size_t n, size_t k,
                       size_t j, double *w, double *h)
{
    const double up = norm_of_sign(u, m, 1.0), vp = norm_of_sign(v, n, 1.0);
    const double un = norm_of_sign(u, m, -1.0), vn = norm_of_sign(v, n, -1.0);
    const double sign = up * vp >= un * vn ? 1.0 : -1.0;
    const double of_u = sign > 0.0 ? up : un, of_v = sign > 0.0 ? vp : vn;
    const double scale = sqrt(sigma * of_u * of_v);
    for (size_t i = 0; i < m; i++)
        w[i * k + j] = of_u > 0.0 && sign * u[i] > 0.0 ? scale * fabs(u[i]) / of_u : 0.0;
    for (size_t c = 0; c < n; c++)
        h[j * n + c] = of_v > 0.0 && sign * v[c] > 0.0 ? scale * fabs(v[c]) / of_v : 0.0;
}

static oxp_status start(oxp_ctx *ctx, const double *x, size_t m, size_t n, size_t k, double *w,
                        double *h)
{
    const bool by_row = m <= n;
    const size_t side = by_row ? m : n, other = by_row ? n : m;
    double *gram = OXP_NEW(ctx->scratch, double, side *side + 1);
    double *near = OXP_NEW(ctx->scratch, double, side + 1);
    double *far = OXP_NEW(ctx->scratch, double, other + 1);
    OXP_FAIL_IF(ctx, !gram || !near || !far, OXP_ENOMEM, "out of memory");
    if (by_row)
        products(x, m, x, m, n, n, n, 1, 1, gram);
    else
        products(x, n, x, n, m, 1, 1, n, n, gram);
    double first = 0.0;
    for (size_t j = 0; j < k; j++) {
        double value = 0.0;
        if (j < side) OXP_TRY(oxp_eigen_top(ctx, gram, side, near, &value));
        first = j == 0 ? value : first;
        /* what is left is rounding: the component stays zero */
        const double sigma = value > 1e-12 * first ? sqrt(value) : 0.0;
        for (size_t i = 0; i < other; i++) {
            double sum = 0.0;
            for (size_t c = 0; c < side; c++)
                sum += near[c] * (by_row ? x[c * n + i] : x[i * n + c]);
            far[i] = sigma > 0.0 ? sum / sigma : 0.0;
        }
        start_pair(by_row ? near : far, by_row ? far : near, sigma, m, n, k, j, w, h);
        for (size_t a = 0; a < side; a++)
            for (size_t b = 0; b < side; b++) gram[a * side + b] -= value * near[a] * near[b];
    }
    return OXP_OK;
}

/* One sweep over k columns of `of` (rows elements, (rows, k) or (k, rows) by the strides), given
 * `cross` = x y' and `own` = y y'. */
static void sweep(double *of, size_t rows, size_t k, size_t row, size_t column, const double *cross,
                  size_t cross_row, size_t cross_column, const double *own)
{
    for (size_t j = 0; j < k; j++) {
        const double size = own[j * k + j];
        if (!(size > 0.0)) continue;
        for (size_t i = 0; i < rows; i++) {
            double rest = cross[i * cross_row + j * cross_column];
            for (size_t l = 0; l < k; l++) rest -= of[i * row + l * column] * own[l * k + j];
            const double v = of[i * row + j * column] + rest / size;
            of[i * row + j * column] = v > 0.0 ? v : 0.0;
        }
    }
}

oxp_status oxp_factor(oxp_ctx *ctx, const double *x, size_t m, size_t n, size_t k, int rounds,
                      double *w, double *h, double *error)
{
    oxp_arena *tmp = ctx->scratch;
    double *xh = OXP_NEW(tmp, double, m *k + 1), *xw = OXP_NEW(tmp, double, n *k + 1);
    double *own = OXP_NEW(tmp, double, k *k + 1), *other = OXP_NEW(tmp, double, k *k + 1);
    OXP_FAIL_IF(ctx, !xh || !xw || !own || !other, OXP_ENOMEM, "out of memory");
    OXP_TRY(start(ctx, x, m, n, k, w, h));
    double size = 0.0, last = (double)INFINITY;
    for (size_t i = 0; i < m * n; i++) size += x[i] * x[i];
    for (int round = 0; round < rounds; round++) {
        products(x, m, h, k, n, n, n, 1, 1, xh); /* (m, k) */
        products(h, k, h, k, n, n, n, 1, 1, own);
        sweep(w, m, k, k, 1, xh, k, 1, own);
        products(w, k, x, n, m, 1, 1, k, n, xw); /* (k, n) */
        products(w, k, w, k, m, 1, 1, k, k, other);
        sweep(h, n, k, 1, n, xw, 1, n, other);
        double now = size; /* |x|^2 - 2 (w'x) . h + (w'w) . (h h') */
        products(h, k, h, k, n, n, n, 1, 1, own);
        for (size_t i = 0; i < k * n; i++) now -= 2.0 * xw[i] * h[i];
        for (size_t i = 0; i < k * k; i++) now += other[i] * own[i];
        if (last - now < 1e-12 * size) break;
        last = now;
    }
    double sum = 0.0;
    for (size_t i = 0; i < m; i++)
        for (size_t c = 0; c < n; c++) {
            double d = x[i * n + c];
            for (size_t j = 0; j < k; j++) d -= w[i * k + j] * h[j * n + c];
            sum += d * d;
        }
    *error = sqrt(sum);
    return OXP_OK;
}
