/* onnxplain.h - explain any ONNX model's prediction by differentiating its graph. The public C API.
 *
 * Conventions, valid for every function unless its comment says otherwise:
 *  - Out parameter first, object second, options pointer (NULL = defaults), `oxp_error *` last (NULL = not interested).
 *  - Functions return OXP_OK or a negative status; on failure *out is NULL / untouched and the error, if given, is filled.
 *  - `oxp_x **out` results are owned by the caller and released with oxp_x_free (NULL is fine). Pointers returned by value are
 *    borrowed and live as long as the object they came from.
 *  - Option structs begin with `struct_size`; initialise them with OXP_..._INIT. A zero field always means "default".
 *  - An oxp_model is immutable (once its labels and words are loaded) and may be shared by threads; it must outlive all that is made from
 *    it. Every other object is used by one thread at a time.
 *  - Arrays are dense, row-major, native-endian. Strings are UTF-8. */
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

/* ---- status, error --------------------------------------------------------------------------------------------- */

typedef enum oxp_status {
    OXP_OK = 0,
    OXP_EINVAL = -1,       /* you asked wrongly: unknown name, wrong shape, value out of range */
    OXP_EUNSUPPORTED = -2, /* valid ONNX that this version cannot explain; the message lists all of it */
    OXP_ECORRUPT = -3,     /* the file or bytes are damaged or not of the expected kind */
    OXP_ELIMIT = -4,       /* a limit (memory, size, nesting, time) would be exceeded */
    OXP_ENOMEM = -5,
    OXP_EIO = -6,          /* a file cannot be opened, read or written */
    OXP_ECANCELLED = -7,   /* the progress callback asked to stop */
    OXP_EINTERNAL = -900   /* a broken promise inside the library: please report */
} oxp_status;

typedef enum oxp_stage {
    OXP_STAGE_ARG, OXP_STAGE_PARSE, OXP_STAGE_IMPORT, OXP_STAGE_INFER, OXP_STAGE_GRAD, OXP_STAGE_OPT,
    OXP_STAGE_PLAN, OXP_STAGE_COMPILE, OXP_STAGE_RUN, OXP_STAGE_MEDIA, OXP_STAGE_RENDER
} oxp_stage;

/* Plain data, owned by the caller, copyable. Initialise with zeros. */
typedef struct oxp_error {
    oxp_status code;
    oxp_stage stage;
    char node[96];     /* ONNX node name, "" when no node is concerned */
    char op[32];       /* its operator */
    uint64_t offset;   /* byte in the model file (OXP_STAGE_PARSE), else 0 */
    char message[1024]; /* one line: what was expected, what was found, what to do */
} oxp_error;

OXP_API const char *oxp_version(void);      /* "0.1.0" */
OXP_API const char *oxp_build_info(void);   /* one line per library built in, with its version */
OXP_API const char *oxp_status_name(oxp_status status);
OXP_API const char *oxp_stage_name(oxp_stage stage);

/* ---- hooks ----------------------------------------------------------------------------------------------------- */

/* alloc must return 64-byte aligned memory or NULL. Used for everything the library itself allocates. */
typedef struct oxp_allocator {
    void *(*alloc)(size_t bytes, void *user);
    void (*free)(void *block, void *user);
    void *user;
} oxp_allocator;

/* topic: "compile", "dispatch", "profile", "import" ...; one line without newline. */
typedef void (*oxp_log_fn)(const char *topic, const char *line, void *user);
/* done of total units of `what`; return non-zero to cancel (OXP_ECANCELLED). */
typedef int (*oxp_progress_fn)(const char *what, uint64_t done, uint64_t total, void *user);

/* ---- arrays ---------------------------------------------------------------------------------------------------- */

typedef enum oxp_dtype {
    OXP_DTYPE_NONE = 0, /* numbers as in ONNX's TensorProto.DataType */
    OXP_F32 = 1, OXP_U8 = 2, OXP_I8 = 3, OXP_U16 = 4, OXP_I16 = 5, OXP_I32 = 6, OXP_I64 = 7,
    OXP_BOOL = 9, OXP_F16 = 10, OXP_F64 = 11, OXP_U32 = 12, OXP_U64 = 13, OXP_BF16 = 16,
    /* 8 bits and fewer: one element per byte */
    OXP_F8E4M3FN = 17, OXP_F8E4M3FNUZ = 18, OXP_F8E5M2 = 19, OXP_F8E5M2FNUZ = 20, OXP_U4 = 21, OXP_I4 = 22,
    OXP_F4E2M1 = 23, OXP_F8E8M0 = 24, OXP_U2 = 25, OXP_I2 = 26, OXP_F6E2M3 = 27, OXP_F6E3M2 = 28
} oxp_dtype;

typedef struct oxp_array {
    const char *name; /* tensor name; NULL: by position */
    oxp_dtype dtype;
    int32_t rank;
    int64_t dims[OXP_MAX_RANK]; /* -1: symbolic (model inputs and outputs only) */
    const void *data;
} oxp_array;

/* ---- models ---------------------------------------------------------------------------------------------------- */

typedef struct oxp_model oxp_model;

typedef struct oxp_model_options {
    size_t struct_size;
    const oxp_allocator *allocator; /* copied; NULL: the C library */
    oxp_log_fn log;
    void *log_user;
    uint64_t max_memory;       /* bytes any one run may use; default: no limit but the machine's */
    const char *external_dir;  /* oxp_model_open_memory: where external data lies; NULL: none allowed */
} oxp_model_options;
#define OXP_MODEL_OPTIONS_INIT {sizeof(oxp_model_options), 0, 0, 0, 0, 0}

/* Reads, checks and normalises a model. Unsupported operators and attributes are all listed in one OXP_EUNSUPPORTED. Sidecars
 * (config.json, preprocessor_config.json) beside `path` are read when a function needs them. Memory: `data` must outlive the
 * model. Errors: OXP_EIO, OXP_ECORRUPT, OXP_EUNSUPPORTED, OXP_ELIMIT, OXP_ENOMEM. */
OXP_API oxp_status oxp_model_open(oxp_model **out, const char *path, const oxp_model_options *options, oxp_error *error);
OXP_API oxp_status oxp_model_open_memory(oxp_model **out, const void *data, size_t size,
                                         const oxp_model_options *options, oxp_error *error);
OXP_API void oxp_model_free(oxp_model *model);

OXP_API size_t oxp_model_input_count(const oxp_model *model);
OXP_API size_t oxp_model_output_count(const oxp_model *model);
OXP_API oxp_array oxp_model_input(const oxp_model *model, size_t index);  /* data == NULL */
OXP_API oxp_array oxp_model_output(const oxp_model *model, size_t index); /* data == NULL */
/* Class names: from a file with one label per line or a config.json's id2label. The sidecar's, if any, are there from the start;
 * path NULL keeps them. */
OXP_API oxp_status oxp_model_load_labels(oxp_model *model, const char *path, oxp_error *error);
OXP_API const char *oxp_model_label(const oxp_model *model, int64_t index); /* NULL when unknown */
/* The words behind token ids, for pictures of models that take ids: from a vocab.txt or a tokenizer.json. As with labels. */
OXP_API oxp_status oxp_model_load_vocabulary(oxp_model *model, const char *path, oxp_error *error);

/* ---- text about the library and models ------------------------------------------------------------------------- */

typedef struct oxp_text oxp_text;
OXP_API const char *oxp_text_str(const oxp_text *text);
OXP_API void oxp_text_free(oxp_text *text);

/* view: "summary", "ops", "layers", "ir", "plan". shapes: "name=1,3,224,224" for inputs with symbolic dims. With model == NULL only "ops": the table of
 * supported operators. */
OXP_API oxp_status oxp_inspect(oxp_text **out, const oxp_model *model, const char *view, const char *const *shapes,
                               size_t n_shapes, oxp_error *error);
/* The view "summary" of any ONNX file: one that is not supported is described too, with all that it lacks. */
OXP_API oxp_status oxp_inspect_file(oxp_text **out, const char *path, const oxp_model_options *options,
                                    const char *const *shapes, size_t n_shapes, oxp_error *error);

/* ---- methods (introspection) ----------------------------------------------------------------------------------- */

typedef enum oxp_param_type { OXP_PARAM_FLOAT, OXP_PARAM_INT, OXP_PARAM_BOOL, OXP_PARAM_CHOICE, OXP_PARAM_TEXT } oxp_param_type;

typedef struct oxp_param_info {
    const char *name, *sentence;
    oxp_param_type type;
    double min, max;            /* numbers */
    const char *default_text;   /* as one would type it */
    const char *choices;        /* "max,sum,mean": OXP_PARAM_CHOICE */
} oxp_param_info;

typedef struct oxp_method_info {
    const char *name, *title, *sentence, *definition, *paper;
    int needs_layer;   /* 1: the map is a layer's, upsampled to the input; 2: the input's, helped by a layer */
    int is_signed;     /* the map has meaningful signs: shown with a diverging colour map */
    int is_contrastive; /* explains a difference of two targets */
    size_t param_count;
    const char *equals;   /* the peer (and variant) whose numbers it gives, "" if none has it */
    const char *cost;     /* forward and backward passes per item, e.g. "1 forward, 1 backward" */
    const char *weakness; /* what it is known not to show, and which sanity checks it fails */
} oxp_method_info;

/* Methods of one kind; they are listed together. */
typedef struct oxp_method_family {
    const char *name; /* docs/methods/NAME.md pins its definitions, with numbers */
    const char *title, *sentence;
} oxp_method_family;

OXP_API size_t oxp_method_count(void);
OXP_API const oxp_method_info *oxp_method_get(size_t index);
OXP_API const oxp_param_info *oxp_method_param(size_t method, size_t index);
OXP_API const oxp_method_family *oxp_method_family_of(size_t method); /* the same pointer for all of one family */
OXP_API int oxp_method_find(const char *name); /* index or -1 */

/* ---- running and explaining ------------------------------------------------------------------------------------ */

/* One value of the model computed from others: any named tensor may be fed or asked for. `outputs`: names; results are
 * owned by *out: floats as float32 (float64 with precision f64), integers and booleans in the model's own type. Feeds may
 * be float64 / float16 (converted) or integers. */
typedef struct oxp_values oxp_values;
typedef struct oxp_run_options {
    size_t struct_size;
    int threads;           /* default: all cores */
    const char *precision; /* "f32" (default) or "f64": the double reference executor */
} oxp_run_options;
#define OXP_RUN_OPTIONS_INIT {sizeof(oxp_run_options), 0, 0}

OXP_API oxp_status oxp_run(oxp_values **out, const oxp_model *model, const oxp_array *feeds, size_t n_feeds,
                           const char *const *outputs, size_t n_outputs, const oxp_run_options *options, oxp_error *error);
OXP_API size_t oxp_values_count(const oxp_values *values);
OXP_API oxp_array oxp_values_get(const oxp_values *values, size_t index);
OXP_API void oxp_values_free(oxp_values *values);

typedef struct oxp_explain_options {
    size_t struct_size;
    const char *method;         /* default "saliency" */
    const char *const *params;  /* "name=value", n_params of them */
    size_t n_params;
    const char *target;         /* "281", "tabby", "top1".."topK", "a[0,5]" (tensor element; batch index 0 or left out), "sum:a"; default top1 */
    const char *contrast;       /* the other target, "" = runner-up, NULL = none (contrastive methods: runner-up) */
    const char *space;          /* "logit" (default), "prob", "output" */
    const char *const *layers;  /* tensor names; none: auto */
    size_t n_layers;
    const char *const *wrt;     /* tensor names to attribute to; none: the inputs */
    size_t n_wrt;
    int threads;                /* default: all cores */
    const char *precision;      /* "f32", "f64": the double reference executor */
    uint64_t max_memory;        /* bytes; default: the model's */
    int top_k;                  /* predictions reported; default 3 */
    int no_optimise;            /* 1: no folding, no fusion (for comparison) */
    int predict_only;           /* 1: predictions without maps; the method is ignored */
    oxp_progress_fn progress;
    void *progress_user;
    /* What words of your own mean in the parameters "baseline" and "baselines": arrays of named tensors (NULL: the first
     * input), one row each or several, in the order of the words. */
    const oxp_array *baselines;
    size_t n_baselines;
} oxp_explain_options;
#define OXP_EXPLAIN_OPTIONS_INIT {sizeof(oxp_explain_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* A compiled method on a model: reusable for any number of inputs of the same shapes and any targets; changing the target
 * recompiles nothing, changing the shapes recompiles once. */
typedef struct oxp_explainer oxp_explainer;
typedef struct oxp_result oxp_result;
typedef struct oxp_input oxp_input; /* a file made ready for a model: see "inputs and pictures" */

OXP_API oxp_status oxp_explainer_new(oxp_explainer **out, const oxp_model *model, const oxp_explain_options *options,
                                     oxp_error *error);
OXP_API void oxp_explainer_free(oxp_explainer *explainer);
/* target / contrast: as in the options, NULL: those of the options. Inputs: all model inputs, by name or position; first dim is the
 * batch, each item its own explanation with its own target. Errors also: OXP_EINVAL (shape, class), OXP_ECANCELLED. */
OXP_API oxp_status oxp_explain(oxp_result **out, oxp_explainer *explainer, const oxp_array *inputs, size_t n_inputs,
                               const char *target, const char *contrast, oxp_error *error);
/* What one oxp_explain on such inputs would cost: compiles, rehearses the method's loop (a second at most; longer loops are
 * extrapolated), runs nothing. */
typedef struct oxp_estimate {
    uint64_t passes;          /* runs of the compiled graph */
    uint64_t flops;           /* of one pass; a multiply-add counts 2 */
    uint64_t workspace_bytes; /* planned memory of a pass, scratch included */
    uint64_t weight_bytes;    /* packed weights, shared by all explainers of the model */
    uint32_t steps, reorders; /* kernels per pass; copies among them made only to change a layout */
} oxp_estimate;
OXP_API oxp_status oxp_explainer_cost(oxp_estimate *out, oxp_explainer *explainer, const oxp_array *inputs, size_t n_inputs,
                                      oxp_error *error);

/* One attribution: method x (input, --wrt tensor or layer). */
typedef struct oxp_map {
    const char *tensor;     /* what it is an attribution of */
    oxp_array attribution;  /* raw, signed, unnormalised, float32 (float64 with precision f64), in the tensor's or layer's own shape */
    oxp_array map;          /* channels reduced, (N, spatial...) at the layer's or input's resolution, float32 */
    const char *reduction;  /* how channels were reduced, "none" when there are none */
} oxp_map;

typedef struct oxp_prediction {
    int64_t index;
    double score;       /* in the target tensor */
    double probability; /* NaN when the model has none */
} oxp_prediction;

OXP_API size_t oxp_result_map_count(const oxp_result *result);
OXP_API oxp_map oxp_result_map(const oxp_result *result, size_t index);
OXP_API size_t oxp_result_batch(const oxp_result *result);
OXP_API size_t oxp_result_top_count(const oxp_result *result);
OXP_API oxp_prediction oxp_result_top(const oxp_result *result, size_t item, size_t rank);
OXP_API int64_t oxp_result_target(const oxp_result *result, size_t item);   /* class explained; -1: not a class */
OXP_API int64_t oxp_result_contrast(const oxp_result *result, size_t item); /* -1: none */
/* Of one item. Scores in the space of the result; how far the attributions are from what they should add up to (completeness,
 * conservation), and both sums of methods that hand a score down. NaN: no contrast; the method promises no sum. */
typedef struct oxp_checks {
    double score, contrast_score, attributed, expected, completeness_gap;
} oxp_checks;
OXP_API oxp_checks oxp_result_checks(const oxp_result *result, size_t item);
OXP_API size_t oxp_result_note_count(const oxp_result *result);             /* assumptions and warnings, one line each */
OXP_API const char *oxp_result_note(const oxp_result *result, size_t index);
OXP_API const char *oxp_result_method(const oxp_result *result);
OXP_API const char *oxp_result_space(const oxp_result *result); /* what the score really is: "logit", "prob", "output" */
/* Everything but the maps, self-describing. inputs: what was explained, for their preprocessing; may be none. */
OXP_API oxp_status oxp_result_json(oxp_text **out, const oxp_result *result, const oxp_input *const *inputs, size_t n_inputs,
                                   oxp_error *error);
OXP_API void oxp_result_free(oxp_result *result);

/* ---- inputs and pictures --------------------------------------------------------------------------------------- */

/* Of an oxp_input: a JPEG, PNG or .npy file made ready for a model. */
typedef struct oxp_input_options {
    size_t struct_size;
    const char *preprocess; /* preset (imagenet, caffe, tf, unit, none), a JSON file, or "key=value;..."; NULL: sidecar or guess */
    const char *layout;     /* of pictures: "NCHW", "NHWC"; NULL: found from the input's shape */
    int model_input;        /* which model input it is for */
    const char *const *shapes; /* "name=1,3,224,224" for inputs with symbolic dims */
    size_t n_shapes;
} oxp_input_options;
#define OXP_INPUT_OPTIONS_INIT {sizeof(oxp_input_options), 0, 0, 0, 0, 0}

OXP_API oxp_status oxp_input_load(oxp_input **out, const oxp_model *model, const char *path,
                                  const oxp_input_options *options, oxp_error *error);
/* The same from the bytes of such a file, which are copied, and from pixels: uint8 (H,W), (H,W,1), (H,W,3) or (H,W,4); alpha is
 * dropped. */
OXP_API oxp_status oxp_input_load_memory(oxp_input **out, const oxp_model *model, const void *data, size_t size,
                                         const oxp_input_options *options, oxp_error *error);
OXP_API oxp_status oxp_input_from_pixels(oxp_input **out, const oxp_model *model, const oxp_array *pixels,
                                         const oxp_input_options *options, oxp_error *error);
/* A picture of one colour ("black", "white", "grey") of the size of `like`, made ready as it was: a baseline. OXP_EINVAL: `like`
 * is an array, not a picture. */
OXP_API oxp_status oxp_input_fill(oxp_input **out, const oxp_input *like, const char *colour, oxp_error *error);
OXP_API oxp_array oxp_input_array(const oxp_input *input);
OXP_API int oxp_input_assumed(const oxp_input *input);         /* 1: preprocessing was guessed */
OXP_API const char *oxp_input_description(const oxp_input *input); /* one line: what was done to the file */
OXP_API void oxp_input_free(oxp_input *input);

typedef struct oxp_render_options {
    size_t struct_size;
    const char *colormap;   /* default by the method: "heat" (magnitude) or "blue-red" (signed); see oxp_colormaps */
    double percentile;      /* clip; default 99 */
    double alpha;           /* strongest overlay opacity, default 0.7 */
} oxp_render_options;
#define OXP_RENDER_OPTIONS_INIT {sizeof(oxp_render_options), 0, 0, 0}

typedef struct oxp_blob oxp_blob;
OXP_API const void *oxp_blob_data(const oxp_blob *blob);
OXP_API size_t oxp_blob_size(const oxp_blob *blob);
OXP_API void oxp_blob_free(oxp_blob *blob);

/* format: "png" (overlay on the input's picture at its resolution, or a plot), "npy" (raw attribution), "ansi" (the words of a
 * text on coloured ground, for a terminal; OXP_EINVAL for maps of other inputs). */
OXP_API oxp_status oxp_render(oxp_blob **out, const oxp_result *result, size_t map, size_t item, const oxp_input *input,
                              const char *format, const oxp_render_options *options, oxp_error *error);
/* One PNG: the input and map 0 of each result side by side, titled, with a colour bar. */
OXP_API oxp_status oxp_render_sheet(oxp_blob **out, const oxp_result *const *results, size_t n_results, size_t item,
                                    const oxp_input *input, const oxp_render_options *options, oxp_error *error);
OXP_API const char *oxp_colormaps(void); /* comma-separated names */
/* Writes all or nothing (temporary file, then rename); path "-": standard output. */
OXP_API oxp_status oxp_write_file(const char *path, const void *data, size_t size, oxp_error *error);

#ifdef __cplusplus
}
#endif
#endif
