/* raise.h - the patterns of raise, by family. A `match` function is given a match that holds its
 * root only and says whether a closed group ends there, with the composite's operator, operands and
 * attributes filled in. An `emit` function makes the composite in the new graph where that takes
 * more than mapping the operands; it returns the new value. */
#ifndef OXP_OPT_RAISE_H
#define OXP_OPT_RAISE_H

#include "opt/match.h"

/* raise_quantised.c: a pass of its own, before the patterns; *done: there was something to do */
oxp_status oxp_raise_quantised(oxp_pass *pass, bool *done);

/* raise_gates.c: functions of one variable */
bool oxp_raise_logistic(oxp_match *m); /* Sigmoid, _Silu from exponentials */
bool oxp_raise_softplus(oxp_match *m);
bool oxp_raise_softsign(oxp_match *m);
bool oxp_raise_gate(oxp_match *m); /* _Gelu, _GeluTanh, _Silu, _Mish, HardSwish */
bool oxp_raise_hard_sigmoid(oxp_match *m);

/* raise_norm.c */
bool oxp_raise_layer_norm(oxp_match *m);
oxp_val oxp_emit_layer_norm(oxp_rewrite *rw, const oxp_match *m);
bool oxp_raise_group_norm(oxp_match *m);
oxp_val oxp_emit_group_norm(oxp_rewrite *rw, const oxp_match *m);

/* raise_softmax.c */
bool oxp_raise_softmax(oxp_match *m);
bool oxp_raise_log_softmax(oxp_match *m);

/* raise_attention.c */
bool oxp_raise_attention(oxp_match *m);
oxp_val oxp_emit_attention(oxp_rewrite *rw, const oxp_match *m);

#endif
