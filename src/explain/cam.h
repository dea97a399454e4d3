/* cam.h - what the family of class activation maps shares.
 *
 * A layer is seen as channels A_k over positions, with the adjoint g of each; tokens before the
 * grid (class token, registers) are dropped. A map has one value per position: in the graph
 * (oxp_cam_map), or on the host from a matrix of positions x channels (oxp_cam_positions). */
#ifndef OXP_EXPLAIN_CAM_H
#define OXP_EXPLAIN_CAM_H

#include "explain/method.h"

/* The parameters that every one of them declares. join_default: "mean" for most. */
#define OXP_CAM_RELU(relu_default)                                                               \
    {                                                                                            \
        "relu", "keep only what speaks for the target", OXP_PARAM_BOOL, 0, 1, relu_default, NULL \
    }
#define OXP_CAM_UPSAMPLE                                                                  \
    {                                                                                     \
        "upsample", "how the map reaches the input's resolution", OXP_PARAM_CHOICE, 0, 0, \
            "linear", "linear,nearest,none"                                               \
    }
#define OXP_CAM_EIGEN                                                                           \
    {                                                                                           \
        "eigen", "channels are not added: their first principal component is taken (smoother)", \
            OXP_PARAM_BOOL, 0, 1, "false", NULL                                                 \
    }
#define OXP_CAM_AUGMENT                                                                            \
    {                                                                                              \
        "augment",                                                                                 \
            "mean over the input and its mirror image, each times 0.9, 1 and 1.1: of the maps as " \
            "they are, or each scaled to [0, 1] first (pgc)",                                      \
            OXP_PARAM_CHOICE, 0, 0, "none", "none,mean,pgc"                                        \
    }
#define OXP_CAM_JOIN(join_default)                                                     \
    {                                                                                  \
        "join", "how maps of several layers, each divided by its maximum, become one", \
            OXP_PARAM_CHOICE, 0, 0, join_default, "mean,max,tanh-max,product"          \
    }

typedef struct oxp_cam {
    oxp_val a, g; /* activation and adjoint (OXP_NO_VAL: not wanted) */
    int64_t space[3];
    size_t n_space;
    int64_t channel;
} oxp_cam;

/* The layer must have channels and positions: a named tensor may have neither. */
oxp_status oxp_cam_check(oxp_task *t, size_t i);
oxp_cam oxp_cam_of(oxp_task *t, size_t i, oxp_val adjoint);
/* sum over channels of x, rectified if asked for; with eigen=true x itself, for oxp_cam_finish */
oxp_val oxp_cam_map(oxp_task *t, const oxp_cam *c, oxp_val x);
/* Over positions, axes kept. */
oxp_val oxp_cam_sum(oxp_task *t, const oxp_cam *c, oxp_val x);
oxp_val oxp_cam_mean(oxp_task *t, const oxp_cam *c, oxp_val x);

/* A map (N, positions...) at the positions of x (roles r), with x's axes and one channel. */
oxp_val oxp_cam_enlarge(oxp_task *t, oxp_val map, oxp_val x, const oxp_roles *r);

typedef oxp_val (*oxp_cam_formula)(oxp_task *t, const oxp_cam *c);
/* out = formula of every layer: with the adjoints of the target, or of activations alone. */
oxp_status oxp_cam_plan(oxp_task *t, oxp_cam_formula formula);
/* As oxp_cam_plan, from another seed than the task's. */
oxp_status oxp_cam_plan_seeded(oxp_task *t, oxp_val seed, oxp_cam_formula formula);
oxp_status oxp_cam_plan_forward(oxp_task *t, oxp_cam_formula formula);
oxp_val oxp_cam_activation(oxp_task *t, const oxp_cam *c); /* the formula A */

/* A row as a matrix (positions, channels), in f->arena; also sets f->out_shape and allocates
 * f->out: one value per position. */
typedef struct oxp_cam_rows {
    size_t positions, channels;
    double *at; /* [positions][channels] */
} oxp_cam_rows;
oxp_status oxp_cam_positions(oxp_finish *f, oxp_cam_rows *rows);
/* finish for maps by oxp_cam_map */
oxp_status oxp_cam_finish(oxp_finish *f);
/* finish: out = the first principal component of a row's channels, EigenCAM's way */
oxp_status oxp_cam_finish_component(oxp_finish *f);
/* finish: out = sum over channels, rectified if asked for */
oxp_status oxp_cam_finish_sum(oxp_finish *f);

#endif
