/* embedding.h - EmbedLayerNormalization in parts, for import. */
#ifndef OXP_ONNX_EMBEDDING_H
#define OXP_ONNX_EMBEDDING_H

#include "onnx/normalise.h"

typedef struct oxp_embedding {
    oxp_val word, segment; /* the rows of the tables (B,S,D); segment may be NO_VAL */
    oxp_val sum, y;        /* (B,S,D) before and behind the norm */
} oxp_embedding;

/* Appends the parts to the model graph. */
oxp_status oxp_import_embedding(oxp_ctx *ctx, oxp_graph *g, const oxp_form *form,
                                const char *origin, oxp_embedding *out);

#endif
