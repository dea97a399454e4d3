/* eigen.c - see eigen.h.
 *
 * Up to BASIS rows: cyclic Jacobi, which turns the matrix diagonal by plane rotations. Beyond:
 * Lanczos. A Krylov basis of BASIS vectors, each made orthogonal to all before it twice (which
 * keeps it orthogonal in floating point), gives a small projected matrix for Jacobi; the best vector
 * in the basis starts the next round until A v - value v is as small as rounding allows. The first
 * vector is pseudo-random, so that it is orthogonal to nothing in particular. */
#include "signal/eigen.h"

#include "base/rng.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { BASIS = 40, ROUNDS = 200, SWEEPS = 60 };

static double dot(const double *x, const double *y, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* One rotation in the plane (p, q) that makes a[p][q] zero; v collects the rotations. */
static void rotate(double *a, double *v, size_t n, size_t p, size_t q)
{
    const double off = a[p * n + q];
    const double theta = (a[q * n + q] - a[p * n + p]) / (2.0 * off);
    const double t = copysign(1.0, theta) / (fabs(theta) + sqrt(theta * theta + 1.0));
    const double c = 1.0 / sqrt(t * t + 1.0), s = t * c;
    for (size_t k = 0; k < n; k++) {
        const double x = a[k * n + p], y = a[k * n + q];
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    for (size_t k = 0; k < n; k++) {
        const double x = a[p * n + k], y = a[q * n + k];
        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
    }
    for (size_t k = 0; k < n; k++) {
        const double x = v[k * n + p], y = v[k * n + q];
        v[k * n + p] = c * x - s * y;
        v[k * n + q] = s * x + c * y;
    }
}

/* a becomes diagonal; returns the index of its largest element, whose eigenvector is column
 * [index] of v. */
static size_t jacobi(double *a, double *v, size_t n)
{
    memset(v, 0, n * n * sizeof(double));
    for (size_t i = 0; i < n; i++) v[i * n + i] = 1.0;
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        bool turned = false;
        for (size_t p = 0; p + 1 < n; p++)
            for (size_t q = p + 1; q < n; q++) {
                const double scale = sqrt(fabs(a[p * n + p])) * sqrt(fabs(a[q * n + q]));
                if (fabs(a[p * n + q]) <= fmax(DBL_EPSILON * 0.25 * scale, DBL_MIN)) continue;
                rotate(a, v, n, p, q);
                turned = true;
            }
        if (!turned) break;
    }
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (a[i * n + i] > a[best * n + best]) best = i;
    return best;
}

static void multiply(const double *a, const double *x, size_t n, double *y)
{
    for (size_t i = 0; i < n; i++) y[i] = dot(a + i * n, x, n);
}

typedef struct krylov {
    size_t n;
    double *basis; /* [BASIS][n] orthonormal */
    double *next;  /* [n] */
    double small[BASIS * BASIS], turn[BASIS * BASIS];
} krylov;

/* Takes from k->next what lies in the first m basis vectors; adds the coefficients to `along`. */
static void make_orthogonal(krylov *k, size_t m, double *along)
{
    for (int twice = 0; twice < 2; twice++)
        for (size_t j = 0; j < m; j++) {
            const double *b = k->basis + j * k->n, c = dot(b, k->next, k->n);
            along[j] += c;
            for (size_t i = 0; i < k->n; i++) k->next[i] -= c * b[i];
        }
}

/* One round from `vector`; true when its result satisfies A v = value v to rounding. */
static bool lanczos(krylov *k, const double *a, double *vector, double *value)
{
    const size_t n = k->n;
    double coefficients[BASIS][BASIS] = {{0.0}}, left = 0.0;
    memcpy(k->basis, vector, n * sizeof(double));
    size_t m = 0;
    for (bool more = true; more;) {
        multiply(a, k->basis + m * n, n, k->next);
        make_orthogonal(k, m + 1, coefficients[m]);
        left = sqrt(dot(k->next, k->next, n));
        const double size = fabs(coefficients[m][m]) + (m > 0 ? fabs(coefficients[m][m - 1]) : 0.0);
        m++;
        more = m < BASIS && left > DBL_EPSILON * size && left > DBL_MIN;
        for (size_t i = 0; more && i < n; i++) k->basis[m * n + i] = k->next[i] / left;
    }
    /* the projected matrix, symmetric up to rounding */
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < m; j++)
            k->small[i * m + j] = i >= j ? coefficients[i][j] : coefficients[j][i];
    const size_t best = jacobi(k->small, k->turn, m);
    *value = k->small[best * m + best];
    memset(vector, 0, n * sizeof(double));
    for (size_t j = 0; j < m; j++)
        for (size_t i = 0; i < n; i++) vector[i] += k->turn[j * m + best] * k->basis[j * n + i];
    const double length = sqrt(dot(vector, vector, n));
    for (size_t i = 0; i < n; i++) vector[i] /= length;
    return left * fabs(k->turn[(m - 1) * m + best]) <= 1e-13 * fabs(*value) || left <= DBL_MIN;
}

static oxp_status large(oxp_ctx *ctx, const double *a, size_t n, double *vector, double *value)
{
    krylov *k = OXP_NEW(ctx->scratch, krylov, 1);
    OXP_NOMEM_IF(ctx, k);
    k->n = n;
    k->basis = OXP_NEW(ctx->scratch, double, n *BASIS);
    k->next = OXP_NEW(ctx->scratch, double, n);
    OXP_FAIL_IF(ctx, !k->basis || !k->next, OXP_ENOMEM, "out of memory");
    const oxp_rng rng = {.seed = 1};
    for (size_t i = 0; i < n; i++) vector[i] = oxp_rng_normal(&rng, i);
    const double length = sqrt(dot(vector, vector, n));
    for (size_t i = 0; i < n; i++) vector[i] /= length;
    for (int round = 0; round < ROUNDS; round++)
        if (lanczos(k, a, vector, value)) break;
    return OXP_OK;
}

oxp_status oxp_eigen_top(oxp_ctx *ctx, const double *a, size_t n, double *vector, double *value)
{
    if (n > BASIS) return large(ctx, a, n, vector, value);
    double *copy = oxp_arena_memdup(ctx->scratch, a, n * n * sizeof(double)),
           *v = OXP_NEW(ctx->scratch, double, n *n);
    OXP_FAIL_IF(ctx, !copy || !v, OXP_ENOMEM, "out of memory");
    const size_t best = jacobi(copy, v, n);
    *value = copy[best * n + best];
    for (size_t i = 0; i < n; i++) vector[i] = v[i * n + best];
    return OXP_OK;
}
