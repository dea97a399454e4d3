/* cam_eigen.c - maps by principal components of a layer: EigenCAM, EigenGradCAM, KPCA-CAM.
 *
 * The layer (or g A for EigenGradCAM) is a matrix X of positions x channels with column means
 * taken away. The map is every position's coordinate along the first principal component, X v for
 * the leading right singular vector v; KPCA-CAM replaces the inner products of X by a kernel. A
 * component has no sign of its own: the coordinate of largest magnitude is made positive (among
 * magnitudes within 1e-4 of it, the first one). The decomposition is host work, in double. */
#include "explain/cam.h"

#include "signal/eigen.h"
#include <math.h>

enum { MAX_MATRIX = 6000 }; /* rows of a matrix of inner products: 288 MB */

static void subtract_means(oxp_cam_rows *x)
{
    for (size_t c = 0; c < x->channels; c++) {
        double sum = 0.0;
        for (size_t p = 0; p < x->positions; p++) sum += x->at[p * x->channels + c];
        for (size_t p = 0; p < x->positions; p++)
            x->at[p * x->channels + c] -= sum / (double)x->positions;
    }
}

static void fix_sign(double *map, size_t n, bool relu)
{
    double most = 0.0, sign = 1.0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(map[i]));
    for (size_t i = 0; i < n; i++)
        if (fabs(map[i]) >= (1.0 - 1e-4) * most) {
            sign = map[i] < 0.0 ? -1.0 : 1.0;
            break;
        }
    for (size_t i = 0; i < n; i++) map[i] = relu && sign * map[i] < 0.0 ? 0.0 : sign * map[i];
}

static oxp_status new_matrix(oxp_finish *f, size_t n, double **matrix, double **vector)
{
    OXP_FAIL_IF(
        f->ctx, n > MAX_MATRIX, OXP_ELIMIT,
        "%s needs a %zu x %zu matrix of inner products, more than %d: choose a deeper --layer",
        f->params->method->info.name, n, n, MAX_MATRIX);
    *matrix = OXP_NEW(f->ctx->scratch, double, n *n);
    *vector = OXP_NEW(f->ctx->scratch, double, n);
    OXP_FAIL_IF(f->ctx, !*matrix || !*vector, OXP_ENOMEM, "out of memory");
    return OXP_OK;
}

static double inner(const double *x, const double *y, size_t n, size_t stride)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += x[i * stride] * y[i * stride];
    return sum;
}

/* X v by the smaller of X^T X (then v is its eigenvector) and X X^T (then sigma u = X v is). */
oxp_status oxp_cam_finish_component(oxp_finish *f)
{
    oxp_cam_rows x;
    double *gram, *vector, value;
    OXP_TRY(oxp_cam_positions(f, &x));
    subtract_means(&x);
    const bool by_channel = x.channels <= x.positions;
    const size_t n = by_channel ? x.channels : x.positions, step = by_channel ? 1 : x.channels,
                 stride = by_channel ? x.channels : 1,
                 depth = by_channel ? x.positions : x.channels;
    OXP_TRY(new_matrix(f, n, &gram, &vector));
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            gram[i * n + j] = gram[j * n + i] =
                inner(x.at + i * step, x.at + j * step, depth, stride);
    OXP_TRY(oxp_eigen_top(f->ctx, gram, n, vector, &value));
    const double sigma = value > 0.0 ? sqrt(value) : 0.0;
    for (size_t p = 0; p < x.positions; p++)
        f->out[p] =
            by_channel ? inner(x.at + p * x.channels, vector, x.channels, 1) : sigma * vector[p];
    fix_sign(f->out, x.positions, oxp_param_bool(f->params, "relu"));
    return OXP_OK;
}

/* k(x, y): sigmoid tanh(gamma x.y + 1), rbf exp(-gamma |x - y|^2), linear x.y */
static void fill_kernel(const oxp_finish *f, const oxp_cam_rows *x, double *k)
{
    const double given = oxp_param_number(f->params, "gamma");
    const double gamma = given > 0.0 ? given : 1.0 / (double)x->channels;
    const bool rbf = oxp_param_is(f->params, "kernel", "rbf"),
               linear = oxp_param_is(f->params, "kernel", "linear");
    const size_t n = x->positions, c = x->channels;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            k[i * n + j] = k[j * n + i] = inner(x->at + i * c, x->at + j * c, c, 1);
    for (size_t i = 0; i < n && rbf; i++) /* strictly below the diagonal first */
        for (size_t j = 0; j < i; j++)
            k[i * n + j] = k[j * n + i] =
                exp(-gamma * (k[i * n + i] + k[j * n + j] - 2.0 * k[i * n + j]));
    for (size_t i = 0; i < n && rbf; i++) k[i * n + i] = 1.0;
    for (size_t i = 0; i < n * n && !rbf && !linear; i++) k[i] = tanh(gamma * k[i] + 1.0);
}

/* Rows and columns of k get mean zero: the kernel of centred features. */
static void centre(double *k, size_t n, double *means)
{
    double all = 0.0;
    for (size_t i = 0; i < n; i++) {
        means[i] = 0.0;
        for (size_t j = 0; j < n; j++) means[i] += k[i * n + j] / (double)n;
        all += means[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) k[i * n + j] += all - means[i] - means[j];
}

static oxp_status finish_kpca(oxp_finish *f)
{
    oxp_cam_rows x;
    double *kernel, *vector, value;
    OXP_TRY(oxp_cam_positions(f, &x));
    subtract_means(&x);
    OXP_TRY(new_matrix(f, x.positions, &kernel, &vector));
    fill_kernel(f, &x, kernel);
    centre(kernel, x.positions, vector);
    OXP_TRY(oxp_eigen_top(f->ctx, kernel, x.positions, vector, &value));
    for (size_t p = 0; p < x.positions; p++)
        f->out[p] = value > 0.0 ? sqrt(value) * vector[p] : 0.0;
    fix_sign(f->out, x.positions, oxp_param_bool(f->params, "relu"));
    return OXP_OK;
}

static oxp_val product(oxp_task *t, const oxp_cam *c)
{
    return oxp_b_mul(t->b, c->g, c->a);
}

static oxp_status plan_activation(oxp_task *t)
{
    return oxp_cam_plan_forward(t, oxp_cam_activation);
}

static oxp_status plan_product(oxp_task *t)
{
    return oxp_cam_plan(t, product);
}

static const oxp_param_info params[] = {
    OXP_CAM_RELU("true"),
    OXP_CAM_UPSAMPLE,
    OXP_CAM_AUGMENT,
    OXP_CAM_JOIN("mean"),
};

static const oxp_param_info kernel_params[] = {
    OXP_CAM_RELU("true"),
    OXP_CAM_UPSAMPLE,
    OXP_CAM_AUGMENT,
    OXP_CAM_JOIN("mean"),
    {"kernel", "what stands for the inner product of two positions", OXP_PARAM_CHOICE, 0, 0,
     "sigmoid", "sigmoid,rbf,linear"},
    {"gamma", "scale inside the kernel; 0: one over the number of channels", OXP_PARAM_FLOAT, 0,
     1e30, "0", NULL},
};

const oxp_method oxp_method_eigencam = {
    .info = {.name = "eigencam",
             .title = "EigenCAM",
             .param_count = OXP_COUNT(params),
             .needs_layer = 1,
             .sentence = "The strongest pattern in the layer, whatever the class: what stands out.",
             .definition =
                 "map = relu(X v), X = positions x channels less their means, v its first "
                 "right singular vector; largest magnitude positive",
             .paper = "Muhammad, Yeasin 2020, arXiv:2008.00299",
             .equals = "pytorch-grad-cam EigenCAM up to sign",
             .cost = "1 forward, one decomposition",
             .weakness = "the same for every class: fails every test of class sensitivity"},
    .params = params,
    .flags = OXP_METHOD_LAYER,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_activation,
    .finish = oxp_cam_finish_component,
};

const oxp_method oxp_method_eigengradcam = {
    .info = {.name = "eigengradcam",
             .title = "EigenGradCAM",
             .param_count = OXP_COUNT(params),
             .needs_layer = 1,
             .sentence = "The strongest pattern in what the layer contributes to the score.",
             .definition = "as eigencam, of g . A in place of A, g = dY/dA",
             .paper = "no paper; defined by pytorch-grad-cam after Muhammad, Yeasin 2020, "
                      "arXiv:2008.00299",
             .equals = "pytorch-grad-cam EigenGradCAM up to sign",
             .cost = "1 forward, backward down to the layer, one decomposition",
             .weakness = "a component has no sign: what speaks against the score can show as what "
                         "speaks for it"},
    .params = params,
    .flags = OXP_METHOD_LAYER,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_product,
    .finish = oxp_cam_finish_component,
};

const oxp_method oxp_method_kpca_cam = {
    .info = {.name = "kpca-cam",
             .title = "KPCA-CAM",
             .param_count = OXP_COUNT(kernel_params),
             .needs_layer = 1,
             .sentence = "EigenCAM with a kernel, so that patterns need not be linear.",
             .definition = "map = relu(sqrt(l) u), l and u the leading eigenpair of the centred "
                           "kernel matrix of positions, k = tanh(x.y / channels + 1)",
             .paper = "Karmani et al. 2024, arXiv:2410.00267",
             .equals = "pytorch-grad-cam KPCA_CAM up to sign",
             .cost = "1 forward, one decomposition of positions x positions",
             .weakness = "the same for every class; large activations saturate the sigmoid kernel"},
    .params = kernel_params,
    .flags = OXP_METHOD_LAYER,
    .channels = OXP_CHANNELS_NONE,
    .features = OXP_CHANNELS_NONE,
    .plan = plan_activation,
    .finish = finish_kpca,
};
