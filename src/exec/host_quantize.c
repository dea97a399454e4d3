/* host_quantize.c - rounding to codes, there and back, and the mask of its adjoint (ops/quantize.c).
 *
 * With one scale and zero point, as activations have them, these are numbers of the loop; otherwise
 * operands that broadcast. */
#include "exec/host.h"
#include "exec/host_math.h"

typedef struct quant_args {
    float lo, hi;
    float s, z; /* of the loops with numbers */
} quant_args;

/* min(max(round(x / s) + z, lo), hi); NaN passes */
static inline float code(float x, float s, float z, float lo, float hi)
{
    const float q = rintf(x / s) + z;
    const float raised = q < lo ? lo : q;
    return raised > hi ? hi : raised;
}

static inline float fake(float x, float s, float z, float lo, float hi)
{
    return (code(x, s, z, lo, hi) - z) * s;
}

static inline float masked(float x, float s, float z, float lo, float hi, float dy)
{
    const float q = rintf(x / s) + z;
    return ((q < lo) | (q > hi)) ? 0.0f : dy;
}

/* One loop: S and Z are the scale and zero point of element i, DY its adjoint. */
#define LOOP(name, S, Z, expression)                                                         \
    OXP_SIMD static void name(const void *args, int64_t n, const void *const *in, void *out) \
    {                                                                                        \
        const quant_args a = *(const quant_args *)args;                                      \
        const float *x = in[0];                                                              \
        float *y = out;                                                                      \
        _Pragma("omp simd") for (int64_t i = 0; i < n; i++)                                  \
        {                                                                                    \
            const float s = S, z = Z;                                                        \
            y[i] = expression;                                                               \
        }                                                                                    \
    }
#define OPERAND(k) ((const float *)in[k])[i]
LOOP(code_by_number, a.s, a.z, code(x[i], s, z, a.lo, a.hi))
LOOP(fake_by_number, a.s, a.z, fake(x[i], s, z, a.lo, a.hi))
LOOP(grad_by_number, a.s, a.z, masked(x[i], s, z, a.lo, a.hi, OPERAND(1)))
LOOP(code_by_operand, OPERAND(1), OPERAND(2), code(x[i], s, z, a.lo, a.hi))
LOOP(fake_by_operand, OPERAND(1), OPERAND(2), fake(x[i], s, z, a.lo, a.hi))
LOOP(grad_by_operand, OPERAND(1), OPERAND(2), masked(x[i], s, z, a.lo, a.hi, OPERAND(3)))

static bool is_number(oxp_lower *lw, oxp_val v, float *number)
{
    const oxp_tensor *t = oxp_lower_constant(lw, v);
    if (!t || oxp_shape_elements(&t->shape) != 1) return false;
    *number = (float)oxp_tensor_get(t, 0);
    return true;
}

oxp_status oxp_lower_quantize(oxp_lower *lw, oxp_quant how, double lo, double hi, const oxp_val *in,
                              oxp_val y)
{
    static const struct {
        const char *what;
        oxp_block_fn number, operand;
    } loops[] = {[OXP_QUANT_CODE] = {"quantize", code_by_number, code_by_operand},
                 [OXP_QUANT_FAKE] = {"fake quant", fake_by_number, fake_by_operand},
                 [OXP_QUANT_GRAD] = {"quantize grad", grad_by_number, grad_by_operand}};
    quant_args args = {.lo = (float)lo, .hi = (float)hi};
    const size_t more = how == OXP_QUANT_GRAD ? 1 : 0;
    if (!is_number(lw, in[1], &args.s) || !is_number(lw, in[2], &args.z))
        return oxp_lower_map(lw, loops[how].what, loops[how].operand, &args, sizeof args, in,
                             3 + more, y);
    const oxp_val few[2] = {in[0], more ? in[3] : OXP_NO_VAL};
    return oxp_lower_map(lw, loops[how].what, loops[how].number, &args, sizeof args, few, 1 + more,
                         y);
}
