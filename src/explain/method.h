/* method.h - what an explanation method is: one descriptor in one file plus a line in methods.def.
 *
 *   plan    extends the forward graph by what one pass must compute: one value per tensor that is
 *           attributed to
 *   drive   the host loop over passes: NULL for methods that need exactly one
 *   finish  host work on each raw row afterwards (a decomposition, another shape): NULL for most
 *
 * Both see only this header. A pass works on rows: a row is one item's tensors with its own target,
 * so a method that needs many evaluations per item (integration steps, noise samples, windows)
 * just makes rows, and the engine packs them into batches. */
#ifndef OXP_EXPLAIN_METHOD_H
#define OXP_EXPLAIN_METHOD_H

#include "base/rng.h"
#include "explain/explain.h"

typedef enum oxp_method_flag {
    OXP_METHOD_LAYER = 1 << 0, /* attributes to layers */
    /* drive feeds the tensors that are attributed to (interpolates, perturbs them) */
    OXP_METHOD_FEEDS = 1 << 1,
    OXP_METHOD_SIGNED = 1 << 2,
    OXP_METHOD_CONTRASTIVE = 1 << 3,
    /* plan is that of the method named by the parameter "method" */
    OXP_METHOD_WRAPPER = 1 << 4,
    /* drive makes one row per item and pass: passes as wide as the batch */
    OXP_METHOD_LOCKSTEP = 1 << 5,
    /* attributes to inputs with the help of one layer (task.beside) */
    OXP_METHOD_BESIDE = 1 << 6,
    /* with LAYER and FEEDS: drive feeds the layer, and only what follows it is computed again */
    OXP_METHOD_TAIL = 1 << 7,
    /* defined on layers into which batch norms are merged, optimised or not */
    OXP_METHOD_MERGED = 1 << 8,
    /* with FEEDS: drive finds the attribution of each item itself in out, and goes on from there */
    OXP_METHOD_STARTS = 1 << 9,
    /* with LAYER: layers are attention maps (rows, heads, queries, keys); the last when none is named */
    OXP_METHOD_ATTENTION = 1 << 10,
    /* with ATTENTION: the maps of all layers, first block first, give one attribution, out[0] */
    OXP_METHOD_ATTENTION_FLOW = 1 << 11,
    /* scores are probabilities unless another space was asked for */
    OXP_METHOD_PROBABILITY = 1 << 12,
    /* with ATTENTION_FLOW: between sequences too, fixed queries included; the task's `parts` */
    OXP_METHOD_ATTENTION_CROSS = 1 << 13
} oxp_method_flag;

/* How channels become a map; `channels` overrides it where a method declares that parameter. */
typedef enum oxp_channels {
    OXP_CHANNELS_MAX,
    OXP_CHANNELS_SUM,
    OXP_CHANNELS_MEAN,
    OXP_CHANNELS_L1,
    OXP_CHANNELS_L2,
    OXP_CHANNELS_NONE
} oxp_channels;

typedef struct oxp_task oxp_task;
typedef struct oxp_drive oxp_drive;
typedef struct oxp_finish oxp_finish;

struct oxp_method {
    oxp_method_info info;
    const oxp_param_info *params; /* info.param_count of them */
    uint32_t flags;
    oxp_channels channels; /* default reduction for channels of grids */
    oxp_channels features; /* default reduction for embeddings of tokens */
    oxp_status (*plan)(oxp_task *t);
    oxp_status (*drive)(oxp_drive *d);
    oxp_status (*finish)(oxp_finish *f); /* NULL: what drive left is the attribution */
    const char *guard; /* what a negative oxp_task.guard means; NULL when the method sets none */
};

#define OXP_FAMILY(name, title, sentence)
#define OXP_METHOD(symbol) extern const oxp_method oxp_method_##symbol;
#include "explain/methods.def"
#undef OXP_FAMILY
#undef OXP_METHOD
size_t oxp_methods_count(void);
const oxp_method *oxp_methods_at(size_t i);
const oxp_method *oxp_methods_find(const char *name);  /* NULL when unknown */
const oxp_method_family *oxp_methods_family(size_t i); /* of method i */

/* ---- parameters: checked when the session is made, so reading cannot fail ---- */
typedef struct oxp_params {
    const oxp_method *method, *inner; /* inner: of a wrapper, else NULL */
    const char *const *given;
    size_t n_given;
    const oxp_reference *references; /* of the settings */
    size_t n_references;
} oxp_params;
/* Unknown names (nearest suggested), values out of range, wrong type: OXP_EINVAL. */
oxp_status oxp_params_check(oxp_ctx *ctx, const oxp_settings *settings, oxp_params *out);
double oxp_param_number(const oxp_params *p, const char *name);
int64_t oxp_param_int(const oxp_params *p, const char *name);
bool oxp_param_bool(const oxp_params *p, const char *name);
const char *oxp_param_text(const oxp_params *p, const char *name);
bool oxp_param_is(const oxp_params *p, const char *name, const char *text);
/* Whose declaration of a parameter holds: the wrapper's where it has one, else the wrapped method's. */
const oxp_method *oxp_param_owner(const oxp_params *p, const char *name);
bool oxp_param_known(const oxp_params *p, const char *name);
bool oxp_param_given(const oxp_params *p, const char *name); /* not left at its default */

/* ---- planning ---- */

/* How sure the roles are, and from what: nothing tells (then channels first is assumed), a
 * convolution and the like, or a layer norm and the like. */
typedef enum oxp_axes { OXP_AXES_UNKNOWN, OXP_AXES_CHANNELS, OXP_AXES_FEATURES } oxp_axes;

/* What kind of axes a tensor has. Spatial axes are those of the picture, volume, series or token
 * grid. */
typedef struct oxp_roles {
    oxp_axes axes;
    int channel;               /* axis, -1: none */
    int n_spatial, spatial[3]; /* axes */
    bool tokens;               /* (N,T,D): spatial = the token axis; channel = D */
    int64_t prefix;            /* tokens: how many come before the grid (class token ...) */
    int n_grid;
    int64_t grid[3]; /* tokens: what T - prefix unfolds to; n_grid 0: not a grid */
} oxp_roles;

/* Work on the host after the passes, one item and one output at a time: decompositions, post-processing, other shapes. */
struct oxp_finish {
    oxp_ctx *ctx;
    oxp_arena *arena; /* for `out` */
    const oxp_params *params;
    const oxp_roles *roles; /* of the tensor attributed to */
    oxp_shape in_shape;     /* of one row, as the plan made it */
    const double *in;
    uint32_t item;
    oxp_shape out_shape; /* to fill; the same for every item */
    double *out;         /* to fill */
};

struct oxp_task {
    oxp_ctx *ctx;
    oxp_build *b; /* on the specialised forward graph */
    const oxp_params *params;
    oxp_val target; /* (B, ...) */
    oxp_val seed;   /* SEED, of the target's shape: dY/dtarget of each row */
    /* what is attributed to: inputs, --wrt tensors or layers, as values of the graph */
    const oxp_val *at;
    const oxp_roles *roles; /* of each */
    size_t n_at;
    size_t width;   /* B: rows in one run */
    oxp_val beside; /* of methods with OXP_METHOD_BESIDE: the layer that helps */
    oxp_roles beside_roles;
    /* [n_at] to fill; OXP_NO_VAL: none, structurally zero (noted as a warning) */
    oxp_val *out;
    /* [n_at] to fill or leave OXP_NO_VAL: (B,...) that must not be negative where the method's
     * definition holds; a run that finds it negative fails with the method's `guard` sentence */
    oxp_val *guard;
    /* flows may set: [n_at] the maps whose keys stand for a sequence of tokens of its own, each with
     * its out[i]; NULL: the last alone, with out[0] */
    const bool *parts;
    /* may be set: (B,...) whose sum is what all attributions of the item should add up to */
    oxp_val expected;
    const oxp_touch *touched; /* by oxp_task_backward */
    size_t n_touched;
    bool stopped;     /* likewise: a path ended at a step function */
    bool only_scores; /* by oxp_plan_score: nothing is attributed by the graph itself */
};

/* The adjoints of t->at from t->seed (or from `seed`, if not NO_VAL) under `rules` (NULL: the
 * derivative); records what was touched. A structurally zero adjoint stays OXP_NO_VAL. */
oxp_status oxp_task_backward(oxp_task *t, const oxp_rule_set *rules, oxp_val seed,
                             oxp_val *adjoint);

/* dy sigmoid(beta x): the derivative of a softplus of this sharpness in place of Relu's */
oxp_val oxp_b_beta_smooth(oxp_build *b, oxp_val x, oxp_val dy, double beta);

/* Plans used by several methods. */
oxp_status oxp_plan_gradient(oxp_task *t);         /* out = dY/dat */
oxp_status oxp_plan_input_x_gradient(oxp_task *t); /* out = at . dY/dat */
oxp_status oxp_plan_score(oxp_task *t); /* no outputs: only the score of each row is wanted */

/* ---- driving ---- */

typedef struct oxp_side {    /* a row's target once known */
    int64_t index, contrast; /* flat class or element; -1: not yet known / none */
} oxp_side;

struct oxp_drive {
    oxp_ctx *ctx;
    struct oxp_core *core, *head; /* opaque: explain/core.h; head: NULL when only inputs are fed */
    const oxp_params *params;
    const oxp_method *method; /* the one being driven: a wrapper, or what it wraps */
    size_t n_items;
    /* tensors fed: per feed, the data of all items, count elements each */
    size_t n_feeds;
    const char *const *feed_name; /* [n_feeds] NULL: no name, or its data is guarded */
    const int64_t *count;         /* [n_feeds] elements per row */
    const oxp_shape *row_shape;   /* [n_feeds] shape of one row, the batch axis dropped */
    double *const *feed;          /* [n_feeds][n_items * count] */
    const bool *varied;           /* [n_feeds] is attributed to: methods change only these */
    size_t n_inputs;              /* the first feeds are the model's inputs */
    /* [n_feeds] an input that can be at a baseline: floats, indices of an embedding */
    const bool *starts;
    const bool *whole;      /* [n_feeds] takes integers */
    const int *out_of_feed; /* [n_feeds] index of its attribution, -1: none */
    /* [n_feeds]: axes count as in the full tensor, batch axis included */
    const oxp_roles *feed_roles;
    const oxp_target *target, *contrast;
    /* [n_items]; known when drive starts, except for one-pass methods */
    oxp_side *side;
    size_t n_out;
    const int64_t *out_count;   /* [n_out] elements per row */
    const oxp_shape *out_shape; /* [n_out] shape of one row, the batch axis dropped */
    const oxp_roles *out_roles; /* [n_out] of the tensor attributed to, batch axis included */
    double *const *out;         /* [n_out][n_items * out_count] to fill */
    double *score; /* [n_items] the explained scalar at the item itself, known when drive starts */
    /* [n_items] what attributions add up to, and what they should; NaN unless the method sets both */
    double *attributed, *expected;
    const char **warning; /* to set: a note on this run, a literal or in `arena` */
    oxp_arena *arena;     /* of the result */
    uint32_t item_base;   /* number of the first item, for random numbers */
};

/* Runs n rows: feed[f] has n * count[f] elements, side[n]; fills out (may be NULL) and score (may
 * be NULL). Unknown sides are found from the scores by d->target / d->contrast. Progress is the
 * caller's. */
oxp_status oxp_rows_run(oxp_drive *d, size_t n, double *const *feed, oxp_side *side,
                        double *const *out, double *score);
/* Computes the fed tensors that are not model inputs from those that are, in n rows. */
oxp_status oxp_rows_head(oxp_drive *d, size_t n, double *const *feed);
/* How many rows one pass takes: make chunks of this size. */
size_t oxp_rows_width(const oxp_drive *d);
/* Drives `method` (its own drive, or one pass) with other feeds: for wrappers. */
oxp_status oxp_drive_method(oxp_drive *d, const oxp_method *method);

#endif
