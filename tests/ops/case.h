/* case.h - one row of tests/ops/ *.cases: an operator, its inputs, its attributes.
 *
 *   [!]Op name=SHAPE[:mod...] ... attribute=value ... [out=N] [tol=T] [@name=values] [#comment]
 *
 *   SHAPE   2x3x4, () for a scalar, - for an absent optional input. Inputs are positional; their names are for the reader.
 *   mod     i64, bool       element kind (default: float)
 *           const           a constant of the graph, not an input
 *           pos nz unit     positive, not zero, inside (0,1)
 *           real            not integers even where integers would be compared exactly
 *           below5          integers 0..4 (indices)
 *           =1,2,3          exactly these values
 *   value   as the attribute's type wants it: 3, 0.5, text, 1,2,3 (a tensor: 3.5, 1,2 or 3:i64)
 *   out     number of outputs asked for (default: as few as the operator has)
 *   tol     error allowed relative to the maximum, instead of 1e-6
 *   pin     error allowed of pinned numbers, relative to their maximum, instead of 1e-12 (those of float programs)
 *   @out    these are the first output (@out2: the second); @NAME: this is the gradient of that input where dy is all ones. A row that pins a
 *           gradient is not compared with finite differences: it is there for kinks.
 *   !       the operator must be refused
 *
 * A name that the operator declares as an attribute is one; any other is an input. */
#ifndef OPCHECK_CASE_H
#define OPCHECK_CASE_H

#include "ops/build.h"
#include "ops/ops.h"

#define CASE_MAX 16 /* inputs, attributes, outputs */

typedef enum case_domain { CASE_ANY, CASE_POSITIVE, CASE_NONZERO, CASE_UNIT } case_domain;

typedef struct case_input {
    const char *name;
    bool absent, constant, real;
    oxp_dtype dtype; /* F32, I64, BOOL */
    oxp_shape shape;
    case_domain domain;
    int64_t below;        /* 0: no limit */
    const double *values; /* NULL: filled */
} case_input;

typedef struct case_pin {
    int input; /* whose gradient; -1, -2: the first, the second output */
    size_t n;
    const double *values;
} case_pin;

typedef struct op_case {
    const char *text, *file; /* as written, without comment; where */
    int line;
    const oxp_op *op;
    case_input in[CASE_MAX];
    size_t n_in;
    oxp_attr attrs[CASE_MAX];
    size_t n_attrs;
    case_pin pins[CASE_MAX];
    size_t n_pins;
    size_t n_out;
    double tol; /* 0: exact where the result is all integers, else 1e-6 */
    double pin; /* of pinned numbers */
    bool refused;
    bool kinked; /* a gradient is pinned */
} op_case;

/* Parses a row (comment and blanks already cut); everything lives in the arena. */
oxp_status case_parse(oxp_ctx *ctx, oxp_arena *arena, const char *row, op_case *out);

/* Values of input i: the same for the same seed. `real` asks for non-integers where the row
 * leaves it open. All are exact floats. */
void case_fill(const op_case *c, size_t i, uint64_t seed, bool real, double *out);

#endif
