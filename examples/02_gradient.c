/* 02_gradient.c - arrays in, arrays out: gradients of any element of any tensor, checked.
 *
 * Run: 02_gradient tests/data/toy/oracle_conv.onnx
 *
 * The model is a convolution, a ReLU and a dense layer on a (1,1,4,4) input. The gradient of one hidden
 * feature, `relu1`, and of one output are computed; the second is compared with a difference quotient
 * that oxp_run gives. Another target of the same tensor compiles nothing. */
#include <math.h>
#include <onnxplain.h>
#include <stdio.h>

enum { N = 16 };

/* grad = d target / d x; the result's array lives as long as the result. */
static int gradient(oxp_explainer *explainer, const float *x, const char *target, double *grad,
                    oxp_error *error)
{
    const oxp_array input = {.dtype = OXP_F32, .rank = 4, .dims = {1, 1, 4, 4}, .data = x};
    oxp_result *result;
    if (oxp_explain(&result, explainer, &input, 1, target, NULL, error) != OXP_OK) return -1;
    const oxp_array raw = oxp_result_map(result, 0).attribution; /* (1,1,4,4), float64 with f64 */
    for (int i = 0; i < N; i++) grad[i] = ((const double *)raw.data)[i];
    oxp_result_free(result);
    return 0;
}

/* Output 1 of the model at x. */
static int output(const oxp_model *model, const double *x, double *y, oxp_error *error)
{
    const oxp_array feed = {
        .name = "x", .dtype = OXP_F64, .rank = 4, .dims = {1, 1, 4, 4}, .data = x};
    const char *const wanted[] = {"out"};
    oxp_run_options options = OXP_RUN_OPTIONS_INIT;
    oxp_values *values;
    options.precision = "f64";
    if (oxp_run(&values, model, &feed, 1, wanted, 1, &options, error) != OXP_OK) return -1;
    *y = ((const double *)oxp_values_get(values, 0).data)[1];
    oxp_values_free(values);
    return 0;
}

static int show(const char *target, const double *grad)
{
    printf("d %s / d x\n", target);
    for (int i = 0; i < N; i++) printf("%8.3f%s", grad[i], i % 4 == 3 ? "\n" : "");
    return 0;
}

int main(int argc, char **argv)
{
    oxp_error error = {0};
    oxp_model *model = NULL;
    oxp_explainer *explainer = NULL;
    oxp_explain_options options = OXP_EXPLAIN_OPTIONS_INIT;
    float x[N];
    double near[N], grad[N], up, down;
    for (int i = 0; i < N; i++) x[i] = (float)i + 0.25f * (float)(i % 3);
    for (int i = 0; i < N; i++) near[i] = (double)x[i];
    options.method = "saliency"; /* its raw attribution is the signed gradient */
    options.precision = "f64";
    int failed = argc != 2 || oxp_model_open(&model, argv[1], NULL, &error) ||
                 oxp_explainer_new(&explainer, model, &options, &error) ||
                 gradient(explainer, x, "relu1[0,0,1,1]", grad, &error) ||
                 show("relu1[0,0,1,1]", grad) || gradient(explainer, x, "out[0,1]", grad, &error) ||
                 show("out[0,1]", grad);
    for (int i = 0; !failed && i < N; i++) {
        const double at = near[i], step = 1e-5;
        near[i] = at + step;
        failed = output(model, near, &up, &error);
        near[i] = at - step;
        failed = failed || output(model, near, &down, &error);
        near[i] = at;
        if (!failed && fabs((up - down) / (2 * step) - grad[i]) > 1e-6) {
            fprintf(stderr, "element %d: gradient %g, difference quotient %g\n", i, grad[i],
                    (up - down) / (2 * step));
            failed = 1;
        }
    }
    if (failed)
        fprintf(stderr, "%s\n", error.message[0] ? error.message : "usage: 02_gradient MODEL");
    oxp_explainer_free(explainer);
    oxp_model_free(model);
    return failed ? 1 : 0;
}
