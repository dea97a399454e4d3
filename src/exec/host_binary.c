/* host_binary.c - arithmetic, comparisons and logic on two operands, Where and Cast. */
#include "exec/host.h"
#include "exec/host_math.h"

/* a - floor(a / b) b */
static inline float floor_mod(float a, float b)
{
    const float r = fmodf(a, b);
    return (r < 0.0f && b > 0.0f) || (r > 0.0f && b < 0.0f) ? r + b : r;
}

#define DEFINE_BINARY(symbol, in_type, out_type, expression)                              \
    OXP_SIMD static void bin_##symbol(const void *args, int64_t n, const void *const *in, \
                                      void *out)                                          \
    {                                                                                     \
        const in_type *x = in[0], *y = in[1];                                             \
        out_type *z = out;                                                                \
        OXP_UNUSED(args);                                                                 \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++)                               \
        {                                                                                 \
            const in_type a = x[i], b = y[i];                                             \
            z[i] = (out_type)(expression);                                                \
        }                                                                                 \
    }
DEFINE_BINARY(ADD, float, float, a + b)
DEFINE_BINARY(SUB, float, float, a - b)
DEFINE_BINARY(MUL, float, float, a *b)
DEFINE_BINARY(DIV, float, float, a / b)
DEFINE_BINARY(POW, float, float, powf(a, b))
DEFINE_BINARY(MIN, float, float, a <= b || isnan(a) ? a : b)
DEFINE_BINARY(MAX, float, float, a >= b || isnan(a) ? a : b)
DEFINE_BINARY(FMOD, float, float, fmodf(a, b))
DEFINE_BINARY(MOD, float, float, floor_mod(a, b))
DEFINE_BINARY(PRELU, float, float, a < 0.0f ? a * b : a)
DEFINE_BINARY(EQ, float, unsigned char, a <= b && a >= b)
DEFINE_BINARY(GT, float, unsigned char, a > b)
DEFINE_BINARY(GE, float, unsigned char, a >= b)
DEFINE_BINARY(LT, float, unsigned char, a < b)
DEFINE_BINARY(LE, float, unsigned char, a <= b)
DEFINE_BINARY(AND, unsigned char, unsigned char, (a != 0) & (b != 0))
DEFINE_BINARY(OR, unsigned char, unsigned char, (a | b) != 0)
DEFINE_BINARY(XOR, unsigned char, unsigned char, (a != 0) != (b != 0))

typedef struct bin_row {
    const char *name;
    oxp_block_fn loop;
    oxp_dtype operands;
} bin_row;

#define ROW(symbol, name, operands) [OXP_BIN_##symbol] = {name, bin_##symbol, operands}
static const bin_row rows[] = {
    ROW(ADD, "add", OXP_F32),
    ROW(SUB, "sub", OXP_F32),
    ROW(MUL, "mul", OXP_F32),
    ROW(DIV, "div", OXP_F32),
    ROW(POW, "pow", OXP_F32),
    ROW(MIN, "min", OXP_F32),
    ROW(MAX, "max", OXP_F32),
    ROW(FMOD, "fmod", OXP_F32),
    ROW(MOD, "mod", OXP_F32),
    ROW(PRELU, "prelu", OXP_F32),
    ROW(EQ, "equal", OXP_F32),
    ROW(GT, "greater", OXP_F32),
    ROW(GE, "greater or equal", OXP_F32),
    ROW(LT, "less", OXP_F32),
    ROW(LE, "less or equal", OXP_F32),
    ROW(AND, "and", OXP_BOOL),
    ROW(OR, "or", OXP_BOOL),
    ROW(XOR, "xor", OXP_BOOL),
};

oxp_status oxp_lower_binary(oxp_lower *lw, oxp_bin bin, oxp_val x, oxp_val y, oxp_val z)
{
    const bin_row *row = &rows[bin];
    const oxp_val in[2] = {x, y};
    const bool typed =
        oxp_lower_at(lw, x)->dtype == row->operands && oxp_lower_at(lw, y)->dtype == row->operands;
    OXP_FAIL_IF(lw->ctx, !typed, OXP_EINTERNAL, "step %s wants %s operands", row->name,
                oxp_dtype_name(row->operands));
    return oxp_lower_map(lw, row->name, row->loop, NULL, 0, in, 2, z);
}

oxp_status oxp_lower_chain(oxp_lower *lw, oxp_bin bin, const oxp_val *x, size_t n, oxp_val y)
{
    /* in several steps: y must not lie where a later step still reads */
    oxp_val like = x[0];
    for (size_t i = n; i-- > 0;)
        if (oxp_shape_equal(&oxp_lower_at(lw, x[i])->shape, &oxp_lower_at(lw, y)->shape))
            like = x[i];
    if (n > 2) OXP_TRY(oxp_lower_result_like(lw, y, like, OXP_NO_VAL));
    OXP_TRY(oxp_lower_binary(lw, bin, x[0], x[1], y));
    for (size_t i = 2; i < n; i++) OXP_TRY(oxp_lower_binary(lw, bin, y, x[i], y));
    return OXP_OK;
}

OXP_SIMD static void where_block(const void *args, int64_t n, const void *const *in, void *out)
{
    const unsigned char *cond = in[0];
    const float *x = in[1], *y = in[2];
    float *z = out;
    OXP_UNUSED(args);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float a = x[i], b = y[i];
        z[i] = cond[i] != 0 ? a : b;
    }
}

oxp_status oxp_lower_where(oxp_lower *lw, oxp_val cond, oxp_val x, oxp_val y, oxp_val z)
{
    const oxp_val in[3] = {cond, x, y};
    return oxp_lower_map(lw, "where", where_block, NULL, 0, in, 3, z);
}

typedef struct cast_args {
    oxp_dtype from, to;
} cast_args;

static void cast_block(const void *args, int64_t n, const void *const *in, void *out)
{
    const cast_args *a = args;
    oxp_convert(out, a->to, in[0], a->from, n);
}

oxp_status oxp_lower_cast(oxp_lower *lw, oxp_val x, oxp_val y)
{
    const cast_args args = {oxp_lower_at(lw, x)->dtype, oxp_lower_at(lw, y)->dtype};
    return oxp_lower_map(lw, "cast", cast_block, &args, sizeof args, &x, 1, y);
}
