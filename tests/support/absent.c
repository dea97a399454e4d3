/*
 * What unit tests left of exec/ link in place of what they must not need: the verbs of ops/lower.h, which
 * exec/ implements, and a nameless stand-in for each operator of ops.def. All are weak, so a real
 * definition in the same program wins. Calling a verb ends the test program, naming the verb.
 * generated/lower_verbs.def is the list of the verbs that ops/lower.h declares (tests/CMakeLists.txt).
 * Includes no header that declares them: their real types do not matter here.
 */
#include "ir/op.h"
#include <stdio.h>
#include <stdlib.h>

#define WEAK __attribute__((weak))

#define VERB(name)                                                           \
    WEAK void name(void);                                                    \
    void name(void)                                                          \
    {                                                                        \
        fputs(#name " called, but this test does not link exec/\n", stderr); \
        abort();                                                             \
    }
#include "lower_verbs.def"

#define OXP_OP(symbol)                   \
    extern const oxp_op oxp_op_##symbol; \
    WEAK const oxp_op oxp_op_##symbol = {.name = "absent:" #symbol};
#include "ops/ops.def"
