/* model.h - a model file with a made-up input, as the benchmarks use it. Failures print a line and exit. */
#ifndef OXP_BENCH_MODEL_H
#define OXP_BENCH_MODEL_H

#include "explain/session.h"
#include "onnx/import.h"

typedef struct bench_model {
    const char *name;
    oxp_ctx ctx;
    oxp_error error;
    oxp_arena *arena;
    oxp_onnx_model *onnx;
    oxp_net net;
    oxp_tensor input;
    int threads;
} bench_model;

void bench_must(const bench_model *m, oxp_status status, const char *what);
/* The first input's symbolic axes are 1; its values lie in [-1, 1). */
void bench_load(bench_model *m, const char *path, int threads);
void bench_unload(bench_model *m);
oxp_program *bench_forward(bench_model *m); /* the forward pass alone, with clocks on its steps */
oxp_session *bench_session(bench_model *m, const oxp_method *method);

#endif
