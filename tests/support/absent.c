/* absent.c - what unit tests left of exec/ link in place of what they must not need: the verbs of
 * ops/lower.h, which exec/ implements. Calling one ends the test program, naming the verb.
 *
 * generated/lower_verbs.def is the list of the verbs that ops/lower.h declares (tests/CMakeLists.txt).
 * Includes no header that declares them: their real types do not matter here. */
#include <stdio.h>
#include <stdlib.h>

#define VERB(name)                                                           \
    void name(void);                                                         \
    void name(void)                                                          \
    {                                                                        \
        fputs(#name " called, but this test does not link exec/\n", stderr); \
        abort();                                                             \
    }
#include "lower_verbs.def"
