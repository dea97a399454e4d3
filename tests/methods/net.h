/* net.h - what the method tests share: open a model of the tree, explain an .npy input, compare
 * with an .npy reference. */
#ifndef OXP_TESTS_METHODS_NET_H
#define OXP_TESTS_METHODS_NET_H

#include "explain/explain.h"
#include "explain/method.h"
#include "onnx/import.h"
#include "support/support.h"

typedef struct test_net {
    oxp_arena *arena, *scratch;
    oxp_error error;
    oxp_ctx ctx;
    oxp_onnx_model *model;
    oxp_net net;
} test_net;

/* path: below the source tree, or absolute. Fails the test with the error's message. */
test_net *test_net_open(const char *path);
/* A net from the bytes of an ONNX file, which stay; NULL with the message in *error when refused. */
test_net *test_net_bytes(const void *bytes, size_t n, oxp_error *error);
/* A net from the text form of a graph (ir/parse.h). */
test_net *test_net_text(const char *text);
test_net *test_toy_open(const char *name); /* tests/data/toy/NAME.onnx */
void test_net_close(test_net *t);
oxp_val test_net_val(test_net *t, const char *tensor); /* by name; fails the test */

/* Dense float64 copy of an .npy file. */
oxp_tensor test_npy(test_net *t, const char *path);
oxp_tensor test_toy_array(test_net *t, const char *name, const char *file); /* NAME.io/FILE.npy */
oxp_tensor test_array(test_net *t, int rank, const int64_t *dims, const double *data);
/* The same with as many axes as dims are not 0, of `most`. */
oxp_tensor test_numbers(test_net *t, const int64_t *dims, int most, const double *data);
/* n items of a batch, from `first` on: a view. */
oxp_tensor test_items(oxp_tensor batch, int64_t first, int64_t n);

/* What to ask; zeros are defaults. */
typedef struct test_ask {
    const char *method;
    const char *params[6]; /* "name=value", NULL ends */
    const char *layers[4], *wrt[4];
    const char *tensor; /* what the target is in; NULL: the first output */
    int64_t target;     /* class, or rank or element with the next ones */
    bool top;           /* instead of a class: the top one, or number `target` from the top */
    bool element, sum;
    bool contrast;
    int64_t contrast_class; /* an element with `element` */
    oxp_space space;
    const oxp_reference *references; /* baselines handed over */
    size_t n_references;
    bool fused; /* default: the plain executor in double */
    bool no_optimise;
} test_ask;

oxp_explanation test_explain(test_net *t, const test_ask *ask, const oxp_tensor *inputs,
                             size_t n_inputs);
/* As above, but may be refused: then the message is in t->error. */
oxp_status test_try_explain(test_net *t, const test_ask *ask, const oxp_tensor *inputs,
                            size_t n_inputs, oxp_explanation *out);
/* As above, but expects this status; the message is in t->error. */
void test_explain_fails(test_net *t, const test_ask *ask, const oxp_tensor *inputs, size_t n_inputs,
                        oxp_status status);
/* Explains in the fused executor, or plainly, and holds the raw maps (joined layers: the map in front) to want[map],
 * n numbers each; n_maps: how many have any. tolerance 0: 1e-5 and 1e-9, of joined maps, which are float, 1e-6. */
void test_expect(test_net *t, const char *name, test_ask ask, bool fused, const oxp_tensor *inputs,
                 size_t n_inputs, const double (*want)[16], size_t n_maps, size_t n,
                 double tolerance);
/* |got - want| <= tolerance * max|want| (or tolerance itself when want is all zero); any float
 * dtypes, same number of elements. */
void test_close(const oxp_tensor *got, const oxp_tensor *want, double tolerance, const char *what);
void test_close_to(const oxp_tensor *got, const double *want, size_t n, double tolerance,
                   const char *what);

/* One of the notes holds this text. */
bool test_has_note(const oxp_explanation *e, const char *part);

#endif
