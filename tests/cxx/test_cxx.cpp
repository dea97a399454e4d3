// test_cxx.cpp - the public header as a C++17 program uses it: handles in unique_ptr, strings and vectors handed in, a lambda as
// callback, one model shared by threads. Usage: test_cxx tests/data/toy/oracle_conv_batch.onnx
#include <onnxplain.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace
{

template <auto Free> struct Freed {
    template <class T> void operator()(T *object) const { Free(object); }
};
using Model = std::unique_ptr<oxp_model, Freed<oxp_model_free>>;
using Explainer = std::unique_ptr<oxp_explainer, Freed<oxp_explainer_free>>;
using Result = std::unique_ptr<oxp_result, Freed<oxp_result_free>>;
using Blob = std::unique_ptr<oxp_blob, Freed<oxp_blob_free>>;
using Text = std::unique_ptr<oxp_text, Freed<oxp_text_free>>;

void require(bool held, const std::string &what)
{
    if (held) return;
    std::fprintf(stderr, "test_cxx: %s\n", what.c_str());
    std::exit(1);
}

constexpr int64_t side = 4, pixels = side * side;

oxp_array batch_of(const std::vector<float> &x)
{
    oxp_array a{};
    a.dtype = OXP_F32;
    a.rank = 4;
    a.dims[0] = static_cast<int64_t>(x.size()) / pixels;
    a.dims[1] = 1;
    a.dims[2] = a.dims[3] = side;
    a.data = x.data();
    return a;
}

Model open(const std::vector<char> &bytes)
{
    oxp_model_options options = OXP_MODEL_OPTIONS_INIT;
    oxp_error error{};
    oxp_model *model = nullptr;
    require(oxp_model_open_memory(&model, bytes.data(), bytes.size(), &options, &error) == OXP_OK,
            error.message);
    const std::vector<std::string> names{"cup", "spoon", "plate", "fork"};
    std::vector<const char *> labels;
    for (const std::string &name : names) labels.push_back(name.c_str());
    require(oxp_model_set_labels(model, labels.data(), labels.size(), &error) == OXP_OK,
            error.message);
    return Model(model);
}

Explainer make(const Model &model, const char *method, int *passes = nullptr)
{
    oxp_explain_options options = OXP_EXPLAIN_OPTIONS_INIT;
    oxp_error error{};
    oxp_explainer *explainer = nullptr;
    options.method = method;
    options.precision = "f64";
    options.progress_user = passes;
    if (passes)
        options.progress = [](const char *, uint64_t, uint64_t, void *user) {
            ++*static_cast<int *>(user);
            return 0;
        };
    require(oxp_explainer_new(&explainer, model.get(), &options, &error) == OXP_OK, error.message);
    return Explainer(explainer);
}

Result explain(const Explainer &explainer, const std::vector<float> &x, const char *target)
{
    oxp_error error{};
    oxp_result *result = nullptr;
    const oxp_array input = batch_of(x);
    require(oxp_explain(&result, explainer.get(), &input, 1, target, nullptr, &error) == OXP_OK,
            error.message);
    return Result(result);
}

std::vector<double> raw(const Result &result)
{
    const oxp_array a = oxp_result_map(result.get(), 0).attribution;
    require(a.dtype == OXP_F64 && a.rank == 4, "the attribution is not (N,1,4,4) float64");
    const double *data = static_cast<const double *>(a.data);
    return {data, data + a.dims[0] * pixels};
}

void check_methods()
{
    bool found = false;
    for (size_t i = 0; i < oxp_method_count(); i++) {
        const oxp_method_info *info = oxp_method_get(i);
        require(oxp_method_find(info->name) == static_cast<int>(i), info->name);
        for (size_t p = 0; p < info->param_count; p++)
            found = found || std::string(oxp_method_param(i, p)->name) == "steps";
    }
    require(found, "no method has steps");
}

// Integrated gradients add up to what oxp_checks says, which is the change of the score.
void check_sums(const Model &model, const std::vector<float> &x)
{
    int passes = 0;
    const Explainer explainer = make(model, "integrated-gradients", &passes);
    const Result result = explain(explainer, x, "spoon");
    require(passes > 0, "the progress callback was not called");
    require(oxp_result_batch(result.get()) == 2 && oxp_result_target(result.get(), 1) == 1,
            "not two items of class 1");
    const std::vector<double> map = raw(result);
    for (size_t item = 0; item < 2; item++) {
        const oxp_checks checks = oxp_result_checks(result.get(), item);
        double sum = 0.0;
        for (size_t i = 0; i < pixels; i++) sum += map[item * pixels + i];
        require(std::abs(sum - checks.attributed) <= 1e-12 * std::abs(sum),
                "the map does not add up to what is told");
        require(checks.completeness_gap < 0.05,
                "the map does not add up to the change of the score");
    }
    oxp_blob *png = nullptr;
    oxp_text *json = nullptr;
    oxp_error error{};
    require(oxp_render(&png, result.get(), 0, 1, nullptr, "png", nullptr, &error) == OXP_OK,
            error.message);
    const Blob blob(png);
    require(std::string(static_cast<const char *>(oxp_blob_data(png)), 4) == "\x89PNG", "no PNG");
    require(oxp_result_json(&json, result.get(), nullptr, 0, &error) == OXP_OK, error.message);
    const Text text(json);
    require(std::string(oxp_text_str(json)).find("\"label\": \"spoon\"") != std::string::npos,
            "the JSON lacks the label");
}

// Threads that share the model find what one alone finds, to the last bit.
void check_threads(const Model &model, const std::vector<float> &x)
{
    const std::vector<double> alone = raw(explain(make(model, "input-x-gradient"), x, "top1"));
    std::vector<std::vector<double>> found(4);
    std::vector<std::thread> threads;
    for (std::vector<double> &to : found)
        threads.emplace_back(
            [&] { to = raw(explain(make(model, "input-x-gradient"), x, "top1")); });
    for (std::thread &thread : threads) thread.join();
    for (const std::vector<double> &one : found)
        require(one == alone, "a thread found something else");
}

void check_errors(const Model &model)
{
    oxp_explain_options options = OXP_EXPLAIN_OPTIONS_INIT;
    oxp_error error{};
    oxp_explainer *explainer = nullptr;
    options.method = "salience";
    require(oxp_explainer_new(&explainer, model.get(), &options, &error) == OXP_EINVAL &&
                !explainer,
            "no error");
    require(error.stage == OXP_STAGE_ARG &&
                std::string(error.message).find("'saliency'") != std::string::npos,
            error.message);
}

} // namespace

int main(int argc, char **argv)
{
    require(argc == 2, "usage: test_cxx MODEL");
    std::ifstream file(argv[1], std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    const Model model = open(bytes);
    std::vector<float> x;
    for (int i = 0; i < 2 * pixels; i++)
        x.push_back(static_cast<float>(i % 7) - 0.25f * static_cast<float>(i % 3));
    check_methods();
    check_sums(model, x);
    check_threads(model, x);
    check_errors(model);
}
