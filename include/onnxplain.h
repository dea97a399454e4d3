/* onnxplain.h - explain any ONNX model's prediction by differentiating its graph. The public C API.
 *
 * docs/api.md is this file as a page, with an introduction. Conventions, valid unless a comment says otherwise:
 *
 *  - Order: out parameter first, object second, options pointer (NULL = defaults), `oxp_error *` last (NULL = not
 *    interested).
 *  - Status: functions that can fail return OXP_OK or a negative oxp_status; on failure `*out` is untouched and the error,
 *    if given, is filled. Any may return OXP_EINVAL (an argument that cannot be meant, such as NULL), OXP_ENOMEM and
 *    OXP_EINTERNAL; "Errors" names what else is to be expected.
 *  - Accessors cannot fail: with NULL for the object, or an index out of range, they give 0, NULL, NaN or a struct of those.
 *  - Ownership: what comes through `oxp_x **out` belongs to the caller and is released with oxp_x_free (NULL is fine).
 *    Pointers and arrays returned by value are borrowed and live as long as the object they came from. Whatever is handed
 *    in (arrays, strings, options) is read or copied during the call only, unless its comment says otherwise.
 *  - A model must outlive its explainers and results. A result may outlive its explainer and inputs.
 *  - Threads: a model is immutable once its labels and words are set, and may then be shared by threads. Every other object
 *    is used by one thread at a time. There is no global state.
 *  - Arrays are dense, row-major, native-endian. Strings are UTF-8 and end with a zero.
 *  - Options: structs that begin with `struct_size` are initialised with OXP_..._INIT; a zero field always means "default".
 *    They grow at the end only, and a program built for fewer fields keeps running. Structs that functions return by pointer
 *    grow likewise. All other structs are fixed: what comes later gets a function.
 *  - Numbers of enums are fixed; new ones may appear.
 *  - A group is marked stable or provisional in its heading: "Stability" in docs/api.md says what that promises. */
#ifndef ONNXPLAIN_H
#define ONNXPLAIN_H

/* Fields and their comments are aligned by hand, so that a struct reads as a table. */
/* clang-format off */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define OXP_API __attribute__((visibility("default")))
#else
#define OXP_API
#endif

#define OXP_VERSION_MAJOR 0
#define OXP_VERSION_MINOR 1
#define OXP_VERSION_PATCH 0
#define OXP_MAX_RANK 8

/* ---- status and error: stable ------------------------------------------------------------------------------------ */

/* Tell a user's mistake (OXP_EINVAL) from a model's limits and from trouble of the machine by the code; show the message. */
typedef enum oxp_status {
    OXP_OK = 0,
    OXP_EINVAL = -1,       /* you asked wrongly: unknown name, wrong shape, value out of range */
    OXP_EUNSUPPORTED = -2, /* valid ONNX that this version cannot explain; the message lists all of it */
    OXP_ECORRUPT = -3,     /* the file or bytes are damaged or not of the expected kind */
    OXP_ELIMIT = -4,       /* a limit (memory, size, nesting, counts) would be exceeded */
    OXP_ENOMEM = -5,
    OXP_EIO = -6,          /* a file cannot be opened, read or written */
    OXP_ECANCELLED = -7,   /* the progress callback asked to stop */
    OXP_EINTERNAL = -900   /* a broken promise inside the library: please report */
} oxp_status;

/* Where in the work an error was found. */
typedef enum oxp_stage {
    OXP_STAGE_ARG = 0,     /* what the caller said */
    OXP_STAGE_PARSE = 1,   /* the bytes of the model file */
    OXP_STAGE_IMPORT = 2,  /* its nodes */
    OXP_STAGE_INFER = 3,   /* shapes and types */
    OXP_STAGE_GRAD = 4,    /* differentiating */
    OXP_STAGE_OPT = 5,
    OXP_STAGE_PLAN = 6,    /* placing values in memory */
    OXP_STAGE_COMPILE = 7, /* choosing kernels */
    OXP_STAGE_RUN = 8,
    OXP_STAGE_MEDIA = 9,   /* pictures, arrays, class names and words from files */
    OXP_STAGE_RENDER = 10
} oxp_stage;

/* Plain data, owned by the caller, copyable. Initialise with zeros; written by failing calls only. */
typedef struct oxp_error {
    oxp_status code;
    oxp_stage stage;
    char node[96];      /* ONNX node name, "" when no node is concerned */
    char op[32];        /* its operator */
    uint64_t offset;    /* byte in the model file (OXP_STAGE_PARSE), else 0 */
    char message[1024]; /* one line: what was expected, what was found, what to do */
} oxp_error;

/* Static strings: never NULL, for numbers that this version does not know too. */
OXP_API const char *oxp_version(void);    /* of the library that is loaded: "0.1.0" */
OXP_API const char *oxp_build_info(void); /* one line per library built in, with its version; the compiler */
OXP_API const char *oxp_status_name(oxp_status status);
OXP_API const char *oxp_stage_name(oxp_stage stage);

/* ---- hooks: stable ----------------------------------------------------------------------------------------------- */

/* `alloc` must return 64-byte aligned memory or NULL. Used for everything the library itself allocates for a model and all that is
 * made from it; by every thread that uses the model, at once if they run at once. `user` must outlive the model. */
typedef struct oxp_allocator {
    void *(*alloc)(size_t bytes, void *user);
    void (*free)(void *block, void *user);
    void *user;
} oxp_allocator;

/* What the library did, for developers. Called on the thread that called the library, at once from threads that share a model.
 * `topic`: "import", "compile", "dispatch" (kernels chosen), "profile" (milliseconds per step), "media"; one line without newline,
 * valid during the call. Topics and wording are not part of the API. */
typedef void (*oxp_log_fn)(const char *topic, const char *line, void *user);
/* `done` of `total` units of work of the method `what`. Called on the thread that called the library, between passes; return non-zero
 * to cancel (OXP_ECANCELLED). */
typedef int (*oxp_progress_fn)(const char *what, uint64_t done, uint64_t total, void *user);

/* ---- arrays, texts, bytes: stable -------------------------------------------------------------------------------- */

/* Numbers as in ONNX's TensorProto.DataType. */
typedef enum oxp_dtype {
    OXP_DTYPE_NONE = 0,
    OXP_F32 = 1, OXP_U8 = 2, OXP_I8 = 3, OXP_U16 = 4, OXP_I16 = 5, OXP_I32 = 6, OXP_I64 = 7,
    OXP_BOOL = 9, OXP_F16 = 10, OXP_F64 = 11, OXP_U32 = 12, OXP_U64 = 13, OXP_BF16 = 16,
    /* 8 bits and fewer: one element per byte */
    OXP_F8E4M3FN = 17, OXP_F8E4M3FNUZ = 18, OXP_F8E5M2 = 19, OXP_F8E5M2FNUZ = 20, OXP_U4 = 21, OXP_I4 = 22,
    OXP_F4E2M1 = 23, OXP_F8E8M0 = 24, OXP_U2 = 25, OXP_I2 = 26, OXP_F6E2M3 = 27, OXP_F6E3M2 = 28
} oxp_dtype;

/* A tensor as it is handed in, borrowed or described. No strides: dense and row-major. */
typedef struct oxp_array {
    const char *name; /* tensor name; NULL: by position */
    oxp_dtype dtype;
    int32_t rank;               /* 0: a scalar; -1: unknown (descriptions of a model's inputs and outputs only) */
    int64_t dims[OXP_MAX_RANK]; /* the first `rank` count; -1: symbolic (likewise) */
    const void *data;           /* NULL in descriptions and for arrays without elements */
} oxp_array;

/* A string and bytes that the library made and the caller owns. */
typedef struct oxp_text oxp_text;
OXP_API const char *oxp_text_str(const oxp_text *text);
OXP_API void oxp_text_free(oxp_text *text);
typedef struct oxp_blob oxp_blob;
OXP_API const void *oxp_blob_data(const oxp_blob *blob);
OXP_API size_t oxp_blob_size(const oxp_blob *blob);
OXP_API void oxp_blob_free(oxp_blob *blob);

/* ---- models: stable ---------------------------------------------------------------------------------------------- */

typedef struct oxp_model oxp_model;

typedef struct oxp_model_options {
    size_t struct_size;
    const oxp_allocator *allocator; /* copied; NULL: the C library */
    oxp_log_fn log;                 /* NULL: none */
    void *log_user;                 /* must outlive the model */
    uint64_t max_memory;            /* bytes: of the file, and of what any one run may use; default: the machine's */
    const char *external_dir;       /* oxp_model_open_memory: where external data lies; NULL: none allowed */
} oxp_model_options;
#define OXP_MODEL_OPTIONS_INIT {sizeof(oxp_model_options), 0, 0, 0, 0, 0}

/* Reads, checks and normalises a model. Unsupported operators and attributes are all listed in one OXP_EUNSUPPORTED. Beside `path`
 * are looked for: class names (config.json), words (tokenizer.json, vocab.txt), preprocessing (preprocessor_config.json) and
 * external data; one of the first two that cannot be read is no error but a note in each result. In memory there is none of that,
 * and `data` must outlive the model. Errors: OXP_EIO, OXP_ECORRUPT, OXP_EUNSUPPORTED, OXP_ELIMIT. */
OXP_API oxp_status oxp_model_open(oxp_model **out, const char *path, const oxp_model_options *options, oxp_error *error);
OXP_API oxp_status oxp_model_open_memory(oxp_model **out, const void *data, size_t size,
                                         const oxp_model_options *options, oxp_error *error);
OXP_API void oxp_model_free(oxp_model *model);

/* Descriptions: name, dtype and declared shape, without data. */
OXP_API size_t oxp_model_input_count(const oxp_model *model);
OXP_API size_t oxp_model_output_count(const oxp_model *model);
OXP_API oxp_array oxp_model_input(const oxp_model *model, size_t index);
OXP_API oxp_array oxp_model_output(const oxp_model *model, size_t index);
/* What a symbolic axis (dims[axis] == -1) is called, such as "batch"; NULL: it has no name, or a size. */
OXP_API const char *oxp_model_input_axis(const oxp_model *model, size_t index, int axis);
OXP_API const char *oxp_model_output_axis(const oxp_model *model, size_t index, int axis);

/* Every tensor that can be named (fed, asked for, attributed to, a target): inputs and computed tensors, in the order of the graph.
 * Their shapes depend on those of the inputs: the view "json" of oxp_inspect tells those of layers, oxp_run any. */
OXP_API size_t oxp_model_tensor_count(const oxp_model *model);
OXP_API const char *oxp_model_tensor(const oxp_model *model, size_t index);

/* Class names. Those of the sidecar or of the model's own metadata, if any, are there from the start; these take their place: a file
 * with one name per line, or a config.json's id2label (path NULL: they are kept); or `n` strings, which are copied (NULL among them:
 * a class without a name). Errors of reading: OXP_EIO, OXP_ECORRUPT, OXP_ELIMIT. */
OXP_API oxp_status oxp_model_load_labels(oxp_model *model, const char *path, oxp_error *error);
OXP_API oxp_status oxp_model_set_labels(oxp_model *model, const char *const *labels, size_t n, oxp_error *error);
OXP_API size_t oxp_model_label_count(const oxp_model *model);
OXP_API const char *oxp_model_label(const oxp_model *model, int64_t index); /* NULL when unknown */

/* The words behind token ids, for pictures of models that take ids: from a vocab.txt or a tokenizer.json; as with labels. A word is
 * as it is shown: *starts (may be NULL) is 1 when a space stands before it, 0 when it goes on with the word before. */
OXP_API oxp_status oxp_model_load_vocabulary(oxp_model *model, const char *path, oxp_error *error);
OXP_API const char *oxp_model_word(const oxp_model *model, int64_t id, int *starts); /* NULL when unknown */

/* ---- text about models: provisional ------------------------------------------------------------------------------ */

/* view: "json" (inputs, outputs, score, gradients, layers for layer methods with the automatic choice first, attention maps), and for
 * people, in wording that may change: "summary", "ops" (operators used), "layers", "ir" and "plan" (a saliency map's graph and steps).
 * shapes: "name=1,3,224,224" for inputs with symbolic dims; a symbolic first axis is 1 unless it is given. With model NULL only "ops":
 * the table of supported operators. Errors: OXP_EINVAL (no such view, a shape is missing or does not fit), OXP_EUNSUPPORTED, OXP_ELIMIT. */
OXP_API oxp_status oxp_inspect(oxp_text **out, const oxp_model *model, const char *view, const char *const *shapes,
                               size_t n_shapes, oxp_error *error);
/* The view "summary" of any ONNX file: one that is not supported is described too, with all that it lacks. Errors: those of
 * oxp_model_open but OXP_EUNSUPPORTED. */
OXP_API oxp_status oxp_inspect_file(oxp_text **out, const char *path, const oxp_model_options *options,
                                    const char *const *shapes, size_t n_shapes, oxp_error *error);

/* ---- methods: stable --------------------------------------------------------------------------------------------- */

/* Everything here is static: valid for ever, the same on every thread. Forms, command lines and bindings are loops over it. Names of
 * methods and parameters are part of the API, and what a method computes is pinned in docs/methods; indexes hold for one version. */

typedef enum oxp_param_type {
    OXP_PARAM_FLOAT = 0, OXP_PARAM_INT = 1, OXP_PARAM_BOOL = 2, OXP_PARAM_CHOICE = 3, OXP_PARAM_TEXT = 4
} oxp_param_type;

typedef struct oxp_param_info {
    const char *name, *sentence;
    oxp_param_type type;
    double min, max;          /* of OXP_PARAM_FLOAT and OXP_PARAM_INT, both allowed */
    const char *default_text; /* as one would type it; may be "" */
    const char *choices;      /* "max,sum,mean": OXP_PARAM_CHOICE; else NULL */
} oxp_param_info;

typedef struct oxp_method_info {
    const char *name;       /* "grad-cam" */
    const char *title;      /* "Grad-CAM" */
    const char *sentence;   /* what it shows */
    const char *definition; /* what it computes, as a formula */
    const char *paper;
    int needs_layer;      /* 0: no; 1: the map is a layer's, upsampled to the input; 2: the input's, helped by a layer */
    int is_signed;        /* the map has meaningful signs: shown with a diverging colour map */
    int is_contrastive;   /* explains a difference of two targets */
    size_t param_count;
    const char *equals;   /* the peer (and variant) whose numbers it gives, "" if none has it */
    const char *cost;     /* forward and backward passes per item, e.g. "1 forward, 1 backward" */
    const char *weakness; /* what it is known not to show, and which sanity checks it fails */
    int is_main;          /* of the group "main": the common ones, of bearable cost, to be compared unless others are asked for */
} oxp_method_info;

typedef struct oxp_method_family {
    const char *name; /* its file in docs/methods pins its definitions, with numbers */
    const char *title, *sentence;
} oxp_method_family;

/* Methods of one family stand together. */
OXP_API size_t oxp_method_count(void);
OXP_API const oxp_method_info *oxp_method_get(size_t index);
OXP_API const oxp_param_info *oxp_method_param(size_t method, size_t index);
OXP_API const oxp_method_family *oxp_method_family_of(size_t method); /* the same pointer for all of one family */
OXP_API int oxp_method_find(const char *name); /* index or -1 */

/* ---- running: stable --------------------------------------------------------------------------------------------- */

typedef struct oxp_values oxp_values; /* what was computed */

typedef struct oxp_run_options {
    size_t struct_size;
    int threads;           /* default: all cores */
    const char *precision; /* "f32" (default) or "f64": the double reference executor, slow */
} oxp_run_options;
#define OXP_RUN_OPTIONS_INIT {sizeof(oxp_run_options), 0, 0}

/* Tensors of the model computed from others: any named tensor may be fed, and any asked for. feeds: by name, or by position among the
 * model's inputs; all that the outputs depend on, floats of any width (converted) for floats, integers for integers. outputs: names,
 * in whose order the values come; n_outputs 0: the model's own. Floats come as float32 (float64 with precision f64), integers and
 * booleans in the model's type. Compiles at each call: for many inputs use an oxp_runner. Memory: the model's max_memory.
 * Errors: OXP_EINVAL (no such tensor, a feed that is missing or does not fit), OXP_EUNSUPPORTED, OXP_ELIMIT. */
OXP_API oxp_status oxp_run(oxp_values **out, const oxp_model *model, const oxp_array *feeds, size_t n_feeds,
                           const char *const *outputs, size_t n_outputs, const oxp_run_options *options, oxp_error *error);

/* oxp_run for many inputs: keeps what was compiled for the tensors that are asked for, the tensors that were fed and their shapes; others
 * compile once more. Options are copied. Errors: those of oxp_run, about outputs when it is made, about feeds when it runs; it stays
 * usable. */
typedef struct oxp_runner oxp_runner;
OXP_API oxp_status oxp_runner_new(oxp_runner **out, const oxp_model *model, const char *const *outputs, size_t n_outputs,
                                  const oxp_run_options *options, oxp_error *error);
OXP_API oxp_status oxp_runner_run(oxp_values **out, oxp_runner *runner, const oxp_array *feeds, size_t n_feeds, oxp_error *error);
OXP_API void oxp_runner_free(oxp_runner *runner);

/* In the order of the outputs, each with its name. */
OXP_API size_t oxp_values_count(const oxp_values *values);
OXP_API oxp_array oxp_values_get(const oxp_values *values, size_t index);
OXP_API void oxp_values_free(oxp_values *values);

/* ---- explaining: stable ------------------------------------------------------------------------------------------ */

/* A target is a text: a class index "281"; a class name "tabby" (the whole label, one of its comma-separated synonyms, or a part of
 * exactly one; either case); "top1", "top2", ... by score, for each item its own; an element "a[0,5]" of any tensor a (the index of the
 * batch is 0 or left out); "sum:a", all of a. With a contrast what is explained is the score of the target minus that of the contrast. */
typedef struct oxp_explain_options {
    size_t struct_size;
    const char *method;         /* a name; default "saliency" */
    const char *const *params;  /* "name=value", n_params of them: what oxp_method_param lists */
    size_t n_params;
    const char *target;         /* default "top1" */
    const char *contrast;       /* the other target, "" = runner-up, NULL = none (contrastive methods: runner-up) */
    const char *space;          /* "logit" (default, but for methods defined on probabilities), "prob", "output" (as the model gives it) */
    const char *const *layers;  /* names of tensors for methods that need a layer; none: found automatically */
    size_t n_layers;
    const char *const *wrt;     /* names of tensors to attribute to; none: the inputs */
    size_t n_wrt;
    int threads;                /* default: all cores */
    const char *precision;      /* "f32" (default), "f64": the double reference executor, slow */
    uint64_t max_memory;        /* bytes a run may use; default: the model's */
    int top_k;                  /* predictions reported; default 3 */
    int no_optimise;            /* 1: no folding, no fusion (for comparison) */
    int predict_only;           /* 1: predictions without maps; the method is ignored */
    oxp_progress_fn progress;   /* NULL: none */
    void *progress_user;        /* must outlive the explainer */
    /* What words of your own mean in the parameters "baseline" and "baselines": arrays of named tensors (NULL: the first
     * input), one row each or several, in the order of the words. */
    const oxp_array *baselines;
    size_t n_baselines;
} oxp_explain_options;
#define OXP_EXPLAIN_OPTIONS_INIT {sizeof(oxp_explain_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* A method on a model, with its options, which are copied: reusable for any number of inputs and targets. It compiles at the first
 * call, and once more for other shapes, a target in another tensor, or a first contrast; another class compiles nothing.
 * Errors: OXP_EINVAL (no such method, parameter, tensor). */
typedef struct oxp_explainer oxp_explainer;
OXP_API oxp_status oxp_explainer_new(oxp_explainer **out, const oxp_model *model, const oxp_explain_options *options,
                                     oxp_error *error);
OXP_API void oxp_explainer_free(oxp_explainer *explainer);

typedef struct oxp_result oxp_result;
/* Explains inputs: all of the model's, by name or position, finite numbers in the shape of the model, converted to its types (floats
 * for an integer input are refused). The first axis is the batch, of any length where the model allows it: each item has its own
 * explanation, and no influence on another's. target, contrast: as in the options; NULL: those of the options. Several threads want
 * an explainer each; the packed weights, most of the memory, belong to the model and are shared.
 * Errors: OXP_EINVAL (shape, class, numbers that are not finite, a layer that the method cannot use), OXP_EUNSUPPORTED (the method does
 * not apply to this model), OXP_ELIMIT (memory), OXP_ECANCELLED; the explainer stays usable. */
OXP_API oxp_status oxp_explain(oxp_result **out, oxp_explainer *explainer, const oxp_array *inputs, size_t n_inputs,
                               const char *target, const char *contrast, oxp_error *error);

typedef struct oxp_estimate {
    uint64_t passes;          /* runs of the compiled graph */
    uint64_t flops;           /* of one pass; a multiply-add counts 2 */
    uint64_t workspace_bytes; /* planned memory of a pass, scratch included */
    uint64_t weight_bytes;    /* packed weights, shared by all explainers of the model */
    uint32_t steps, reorders; /* kernels per pass; copies among them made only to change a layout */
} oxp_estimate;
/* What one oxp_explain on such inputs, with the options' target, would cost: compiles (the next oxp_explain need not), rehearses the
 * method's loop (a second at most; longer loops are extrapolated), runs nothing. Errors: those of oxp_explain. */
OXP_API oxp_status oxp_explainer_cost(oxp_estimate *out, oxp_explainer *explainer, const oxp_array *inputs, size_t n_inputs,
                                      oxp_error *error);

/* ---- results: stable --------------------------------------------------------------------------------------------- */

/* A result owns all that it gives, and needs its model (for labels), but neither the explainer nor the inputs any more. */

/* One attribution: of an input, of a tensor named in wrt, or of a layer. N: the items of the batch. */
typedef struct oxp_map {
    const char *tensor;     /* what it is an attribution of */
    oxp_array attribution;  /* raw, signed, unnormalised; float32 (float64 with precision f64), (N, ...) in the tensor's own shape */
    oxp_array map;          /* channels reduced, (N, spatial...) float32, at the input's resolution (layers too, unless upsample=none) */
    const char *reduction;  /* how channels were reduced: "max", "sum", "mean", "l1", "l2"; "none", "magnitude": there are none */
} oxp_map;

typedef struct oxp_prediction {
    int64_t index;      /* class; -1: there is none */
    double score;       /* in the space of the result */
    double probability; /* 0 to 1; NaN when the model has none */
} oxp_prediction;

/* Scores are those of the two sides, in the space of the result, before the contrast is taken away. The others are of methods that promise
 * that attributions add up (completeness, conservation). NaN: there is no contrast, nothing is promised. */
typedef struct oxp_checks {
    double score, contrast_score;
    double attributed;       /* the sum of the attributions */
    double expected;         /* what it should be, such as the score less that of the baseline */
    double completeness_gap; /* |attributed - expected| / |expected| */
} oxp_checks;

OXP_API size_t oxp_result_batch(const oxp_result *result); /* N */
OXP_API size_t oxp_result_map_count(const oxp_result *result);
OXP_API oxp_map oxp_result_map(const oxp_result *result, size_t index);
OXP_API int oxp_result_map_is_signed(const oxp_result *result, size_t index); /* 1: signs mean for and against */

/* The highest-scoring classes of an item, rank 0 first. top_count is 0 for models without classes and targets in other tensors. */
OXP_API size_t oxp_result_top_count(const oxp_result *result);
OXP_API oxp_prediction oxp_result_top(const oxp_result *result, size_t item, size_t rank);

/* What was explained of an item. */
OXP_API int64_t oxp_result_target(const oxp_result *result, size_t item);   /* class explained; -1: not a class */
OXP_API int64_t oxp_result_contrast(const oxp_result *result, size_t item); /* -1: none */
OXP_API oxp_checks oxp_result_checks(const oxp_result *result, size_t item);

/* How it was found: method, what the score really is ("logit", "prob", "output"), the tensor it lies in, the layer used (NULL: none),
 * every parameter with its value ("steps=64"), notes (assumptions and warnings, one line each), runs of the compiled graph, wall
 * time without compiling. */
OXP_API const char *oxp_result_method(const oxp_result *result);
OXP_API const char *oxp_result_space(const oxp_result *result);
OXP_API const char *oxp_result_tensor(const oxp_result *result);
OXP_API const char *oxp_result_layer(const oxp_result *result);
OXP_API size_t oxp_result_param_count(const oxp_result *result);
OXP_API const char *oxp_result_param(const oxp_result *result, size_t index);
OXP_API size_t oxp_result_note_count(const oxp_result *result);
OXP_API const char *oxp_result_note(const oxp_result *result, size_t index);
OXP_API uint64_t oxp_result_passes(const oxp_result *result);
OXP_API double oxp_result_seconds(const oxp_result *result);

/* All of that but the maps as JSON, self-describing. inputs: what was explained, for their preprocessing; may be none. Keys are kept
 * as functions are; new ones may appear. */
typedef struct oxp_input oxp_input; /* below */
OXP_API oxp_status oxp_result_json(oxp_text **out, const oxp_result *result, const oxp_input *const *inputs, size_t n_inputs,
                                   oxp_error *error);
OXP_API void oxp_result_free(oxp_result *result);

/* ---- inputs: stable ---------------------------------------------------------------------------------------------- */

/* An oxp_input is a picture or a .npy array made ready for one input of a model; it does not need the model any more. Arrays that are
 * ready need none: oxp_explain takes any. */

typedef struct oxp_input_options {
    size_t struct_size;
    const char *preprocess; /* preset (imagenet, caffe, tf, unit, none), a JSON file, or "key=value;..."; NULL: sidecar or guess */
    const char *layout;     /* of pictures: "NCHW", "NHWC"; NULL: found from the input's shape */
    int model_input;        /* which model input it is for, from 0 */
    const char *const *shapes; /* "name=1,3,224,224" for inputs with symbolic dims */
    size_t n_shapes;
} oxp_input_options;
#define OXP_INPUT_OPTIONS_INIT {sizeof(oxp_input_options), 0, 0, 0, 0, 0}

/* A picture is decoded, turned upright, resized, cropped and normalised, and becomes a batch of one. An array is taken as it is.
 * Errors: OXP_EIO, OXP_ECORRUPT, OXP_EUNSUPPORTED (a kind of file), OXP_ELIMIT, OXP_EINVAL (options; the shape does not fit). */
OXP_API oxp_status oxp_input_load(oxp_input **out, const oxp_model *model, const char *path,
                                  const oxp_input_options *options, oxp_error *error);
/* The same from the bytes of such a file, and from pixels: uint8 (H,W), (H,W,1), (H,W,3) or (H,W,4); alpha is dropped. */
OXP_API oxp_status oxp_input_load_memory(oxp_input **out, const oxp_model *model, const void *data, size_t size,
                                         const oxp_input_options *options, oxp_error *error);
OXP_API oxp_status oxp_input_from_pixels(oxp_input **out, const oxp_model *model, const oxp_array *pixels,
                                         const oxp_input_options *options, oxp_error *error);
/* A picture of one colour ("black", "white", "grey") of the size of `like`, made ready as it was: a baseline. OXP_EINVAL: `like`
 * is an array, not a picture. */
OXP_API oxp_status oxp_input_fill(oxp_input **out, const oxp_input *like, const char *colour, oxp_error *error);
OXP_API oxp_array oxp_input_array(const oxp_input *input);         /* named like the model's input */
OXP_API int oxp_input_assumed(const oxp_input *input);             /* 1: preprocessing was guessed: worth telling a user */
OXP_API const char *oxp_input_description(const oxp_input *input); /* one line: what was done to the file */
OXP_API void oxp_input_free(oxp_input *input);

/* ---- pictures: provisional --------------------------------------------------------------------------------------- */

typedef struct oxp_render_options {
    size_t struct_size;
    const char *colormap;   /* default by the map: "heat" (magnitude) or "blue-red" (signed); see oxp_colormaps */
    double percentile;      /* of the map's magnitudes: the strongest colour; above 0, at most 100; default 99 */
    double alpha;           /* strongest overlay opacity; above 0, at most 1; default 0.7 */
} oxp_render_options;
#define OXP_RENDER_OPTIONS_INIT {sizeof(oxp_render_options), 0, 0, 0}

/* One map of one item. format: "png": over the picture, at its resolution, or over the words, the volume, series or row; "ansi": the
 * words of a text on coloured ground, for a terminal (OXP_EINVAL for other inputs); "npy": the raw attribution of the whole batch.
 * input: what the map lies over; NULL: the map stands alone. Errors: OXP_EINVAL (no such map or item, it cannot be drawn). */
OXP_API oxp_status oxp_render(oxp_blob **out, const oxp_result *result, size_t map, size_t item, const oxp_input *input,
                              const char *format, const oxp_render_options *options, oxp_error *error);
/* One PNG: the input and map 0 of each result side by side, titled, with a colour bar. The results are of one model and one input. */
OXP_API oxp_status oxp_render_sheet(oxp_blob **out, const oxp_result *const *results, size_t n_results, size_t item,
                                    const oxp_input *input, const oxp_render_options *options, oxp_error *error);
OXP_API const char *oxp_colormaps(void); /* comma-separated names */
/* Writes all or nothing (temporary file, then rename); path "-": standard output. Errors: OXP_EIO. */
OXP_API oxp_status oxp_write_file(const char *path, const void *data, size_t size, oxp_error *error);

#ifdef __cplusplus
}
#endif
#endif
