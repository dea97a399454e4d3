/* flatten.c - from records to one flat list of nodes: inlines local functions.
 *
 * A call becomes the function's nodes. Its parameters are replaced by the call's tensors, its inner
 * tensors get names of their own ("call/inner"), and attributes that refer to the call's are taken
 * from there (or from the function's defaults; absent in both means absent). A parameter that is
 * returned as it is becomes an Identity, so that every result has a maker.
 *
 * Branches and bodies (If, Loop, Scan) become lists of their own, closed: each tensor of the graphs
 * around that they read is listed as one that the node reads.
 *
 * A short file could ask for a huge graph: functions that call themselves, that double at every
 * level, or that are called often and hold much. So depth and nodes are limited, and everything
 * that a call repeats is charged to a budget of bytes. */
#include "onnx/draft.h"
#include <string.h>

enum {
    MAX_CALL_DEPTH = 16, /* calls and branches in each other */
    MAX_NODES = 1 << 18,
    MAX_ATTRS = 256,         /* of one node: they are searched one by one */
    MAX_REPEATED = 256 << 20 /* bytes */
};

typedef struct flattener {
    oxp_ctx *ctx;
    const oxp_pb_model *model;
    oxp_draft *draft;     /* the list at hand */
    size_t n_nodes;       /* in all lists */
    oxp_strmap functions; /* "domain::name" -> index */
    oxp_strmap taken;     /* every tensor name of the flat graph */
    size_t n_calls;
    size_t budget; /* bytes that calls may still repeat, about */
} flattener;

/* Tensors that the branches and bodies of one node read from the graphs around. */
typedef struct captures {
    oxp_strmap index;
    const char **names;
    size_t n, cap;
} captures;

/* Where the nodes at hand stand: the main graph, one call of a function, or a branch or body. */
typedef struct scope {
    const oxp_pb_function *fn; /* NULL: not inside a function */
    const oxp_draft_node *call;
    struct scope *around; /* of a branch or body; NULL: it is none */
    captures *captured;   /* of a branch or body */
    oxp_strmap names;     /* the function's, branch's or body's tensor name -> index into actual */
    const char **actual;
    size_t n_actual, cap_actual;
    int64_t opset; /* of the default domain */
    int depth;
} scope;

/* What the main graph holds is as large as the file; what a function holds comes again per call. */
static oxp_status charge(flattener *f, const scope *s, size_t bytes)
{
    if (!s->fn) return OXP_OK;
    OXP_FAIL_IF(f->ctx, bytes > f->budget, OXP_ELIMIT,
                "calls of local functions would make more graph than memory is allowed for");
    f->budget -= bytes;
    return OXP_OK;
}

static oxp_status map_name(flattener *f, scope *s, const char *formal, const char *actual)
{
    OXP_TRY(charge(f, s, strlen(formal) + 64));
    OXP_FAIL_IF(f->ctx,
                !oxp_arena_grow(f->ctx->scratch, &s->actual, s->n_actual, &s->cap_actual,
                                sizeof *s->actual) ||
                    !oxp_strmap_put(&s->names, formal, (uint32_t)s->n_actual),
                OXP_ENOMEM, "out of memory");
    s->actual[s->n_actual++] = actual;
    return OXP_OK;
}

static oxp_status take_name(flattener *f, const char *name)
{
    OXP_FAIL_IF(f->ctx, !oxp_strmap_put(&f->taken, name, 0), OXP_ENOMEM, "out of memory");
    return OXP_OK;
}

/* A name that no tensor has yet, for one of a function's own. */
static oxp_status fresh_name(flattener *f, scope *s, const char *name, const char **out)
{
    OXP_TRY(charge(f, s, 2 * (strlen(s->call->name) + strlen(name)) + 16));
    const char *fresh = oxp_arena_printf(f->ctx->scratch, "%s/%s", s->call->name, name);
    for (size_t i = f->n_calls; fresh && oxp_strmap_get(&f->taken, fresh, NULL); i++)
        fresh = oxp_arena_printf(f->ctx->scratch, "%s/%s~%zu", s->call->name, name, i);
    OXP_NOMEM_IF(f->ctx, fresh);
    OXP_TRY(take_name(f, fresh));
    *out = fresh;
    return OXP_OK;
}

static oxp_status capture(flattener *f, captures *c, const char *name)
{
    if (oxp_strmap_get(&c->index, name, NULL)) return OXP_OK;
    OXP_FAIL_IF(f->ctx,
                !oxp_arena_grow(f->ctx->scratch, &c->names, c->n, &c->cap, sizeof *c->names) ||
                    !oxp_strmap_put(&c->index, name, 0),
                OXP_ENOMEM, "out of memory");
    c->names[c->n++] = name;
    return OXP_OK;
}

/* The name, in the list at hand, of a tensor that scope s calls `name`. A branch or body knows its own
 * tensors; all others are those of the scope around it. Recursion is bounded by MAX_CALL_DEPTH. */
static oxp_status resolve(flattener *f, scope *s, const char *name, const char **out)
{
    uint32_t index;
    *out = name;
    if ((!s->fn && !s->around) || name[0] == '\0') return OXP_OK;
    if (oxp_strmap_get(&s->names, name, &index)) {
        *out = s->actual[index];
        return charge(f, s, strlen(*out) + 16);
    }
    if (s->around) {
        OXP_TRY(resolve(f, s->around, name, out));
        return capture(f, s->captured, *out);
    }
    const char *fresh = NULL;
    OXP_TRY(fresh_name(f, s, name, &fresh));
    *out = fresh;
    return map_name(f, s, name, fresh);
}

/* Absent tensors at the end of a list are as good as not listed. */
static oxp_status resolve_list(flattener *f, scope *s, const oxp_pb_texts *names, const char ***out,
                               size_t *n_out)
{
    size_t n = names->n;
    while (n > 0 && names->items[n - 1][0] == '\0') n--;
    *out = OXP_NEW(f->ctx->scratch, const char *, n);
    OXP_NOMEM_IF(f->ctx, *out);
    for (size_t i = 0; i < n; i++) OXP_TRY(resolve(f, s, names->items[i], &(*out)[i]));
    *n_out = n;
    return OXP_OK;
}

static const oxp_pb_attr *find_attr(const scope *s, const char *name)
{
    for (size_t i = 0; i < s->call->n_attrs; i++)
        if (strcmp(s->call->attrs[i]->name, name) == 0) return s->call->attrs[i];
    for (size_t i = 0; i < s->fn->defaults.n; i++)
        if (strcmp(s->fn->defaults.items[i].name, name) == 0) return &s->fn->defaults.items[i];
    return NULL;
}

/* What attribute `a` stands for in scope s; NULL when it refers to one that was not given. */
static oxp_status resolve_attr(flattener *f, const scope *s, const oxp_pb_attr *a,
                               const oxp_pb_attr **out)
{
    *out = a;
    if (a->ref[0] == '\0') return OXP_OK;
    OXP_FAIL_IF(f->ctx, !s->fn, OXP_ECORRUPT,
                "attribute %s refers to '%s', but only nodes of functions may refer", a->name,
                a->ref);
    const oxp_pb_attr *actual = *out = find_attr(s, a->ref);
    if (!actual) return OXP_OK;
    OXP_FAIL_IF(f->ctx, a->type != 0 && a->type != actual->type, OXP_ECORRUPT,
                "attribute %s refers to '%s', which is of another type", a->name, a->ref);
    oxp_pb_attr *copy = oxp_arena_memdup(f->ctx->scratch, actual, sizeof *actual);
    OXP_NOMEM_IF(f->ctx, copy);
    copy->name = a->name;
    *out = copy;
    return OXP_OK;
}

static size_t attr_bytes(const oxp_pb_attr *a)
{
    size_t text = a->s.size;
    for (size_t i = 0; i < a->strings.n; i++) text += a->strings.items[i].size + 16;
    return 128 + strlen(a->name) + text + 8 * (a->ints.n + a->floats.n);
}

static oxp_status resolve_attrs(flattener *f, const scope *s, const oxp_pb_node *pb,
                                oxp_draft_node *node)
{
    OXP_FAIL_IF(f->ctx, pb->attribute.n > MAX_ATTRS, OXP_ELIMIT,
                "a node has %zu attributes, at most %d are accepted", pb->attribute.n, MAX_ATTRS);
    node->attrs = OXP_NEW(f->ctx->scratch, const oxp_pb_attr *, pb->attribute.n);
    OXP_NOMEM_IF(f->ctx, node->attrs);
    for (size_t i = 0; i < pb->attribute.n; i++) {
        const oxp_pb_attr *a = NULL;
        OXP_TRY(resolve_attr(f, s, &pb->attribute.items[i], &a));
        if (!a) continue;
        OXP_TRY(charge(f, s, attr_bytes(a)));
        for (size_t k = 0; k < node->n_attrs; k++)
            OXP_FAIL_IF(f->ctx, strcmp(node->attrs[k]->name, a->name) == 0, OXP_ECORRUPT,
                        "attribute %s is given twice", a->name);
        node->attrs[node->n_attrs++] = a;
    }
    return OXP_OK;
}

/* The version of a domain where scope s stands; 1 where an exporter forgot to say. A function that
 * does not import a domain takes the model's version. */
static int64_t opset_in(const flattener *f, const scope *s, const char *domain)
{
    if (domain[0] == '\0') return s->opset;
    const oxp_pb_opsets *own = s->fn ? &s->fn->opset_import : &f->model->opset_import;
    int64_t version = oxp_pb_opset_of(own->items, own->n, domain);
    if (version == 0)
        version = oxp_pb_opset_of(f->model->opset_import.items, f->model->opset_import.n, domain);
    return version ? version : 1;
}

static oxp_status make_node(flattener *f, scope *s, const oxp_pb_node *pb, oxp_draft_node *node)
{
    *node = (oxp_draft_node){
        .op_type = pb->op_type, .domain = pb->domain, .opset = opset_in(f, s, pb->domain)};
    OXP_TRY(charge(f, s, strlen(pb->op_type) + strlen(pb->domain) + sizeof *node));
    OXP_TRY(resolve_list(f, s, &pb->input, &node->in, &node->n_in));
    OXP_TRY(resolve_list(f, s, &pb->output, &node->out, &node->n_out));
    node->name = node->n_out > 0 ? node->out[0] : pb->op_type;
    if (pb->name[0] != '\0')
        node->name =
            s->fn ? oxp_arena_printf(f->ctx->scratch, "%s/%s", s->call->name, pb->name) : pb->name;
    OXP_NOMEM_IF(f->ctx, node->name);
    f->ctx->node = node->name;
    f->ctx->op = node->op_type;
    return resolve_attrs(f, s, pb, node);
}

static oxp_status add_node(flattener *f, const oxp_draft_node *node)
{
    oxp_draft *d = f->draft;
    OXP_FAIL_IF(f->ctx, node->opset == 0 && node->domain[0] == '\0', OXP_ECORRUPT,
                "the model does not say which opset it uses");
    OXP_FAIL_IF(f->ctx, f->n_nodes++ >= MAX_NODES, OXP_ELIMIT, "the model has more than %d nodes",
                MAX_NODES);
    OXP_FAIL_IF(
        f->ctx,
        !oxp_arena_grow(f->ctx->scratch, &d->nodes, d->n_nodes, &d->cap_nodes, sizeof *d->nodes),
        OXP_ENOMEM, "out of memory");
    d->nodes[d->n_nodes++] = *node;
    return OXP_OK;
}

/* 0: none is named, which only nodes of other domains can do without. */
static oxp_status check_opset(oxp_ctx *ctx, int64_t opset, const char *what, const char *name)
{
    if (opset == 0) return OXP_OK;
    OXP_FAIL_IF(ctx, opset < OXP_OPSET_MIN || opset > OXP_OPSET_MAX, OXP_EUNSUPPORTED,
                "%s%s uses opset %lld of ONNX; %d to %d are supported: export or convert it to "
                "one of them",
                what, name, (long long)opset, OXP_OPSET_MIN, OXP_OPSET_MAX);
    return OXP_OK;
}

/* Nodes are usually operators: only a model with functions pays for the look-up. */
static oxp_status find_function(flattener *f, const char *domain, const char *name,
                                const oxp_pb_function **out)
{
    uint32_t index;
    *out = NULL;
    if (f->model->function.n == 0) return OXP_OK;
    const char *key = oxp_arena_printf(f->ctx->scratch, "%s::%s", domain, name);
    OXP_NOMEM_IF(f->ctx, key);
    if (oxp_strmap_get(&f->functions, key, &index)) *out = &f->model->function.items[index];
    return OXP_OK;
}

/* A result that is a parameter, or an earlier result, again. */
static oxp_status add_identity(flattener *f, const char *from, const char *to, int64_t opset)
{
    const char **names = OXP_NEW(f->ctx->scratch, const char *, 2);
    OXP_NOMEM_IF(f->ctx, names);
    names[0] = from;
    names[1] = to;
    const oxp_draft_node node = {.name = to,
                                 .op_type = "Identity",
                                 .domain = "",
                                 .opset = opset,
                                 .in = names,
                                 .out = names + 1,
                                 .n_in = 1,
                                 .n_out = 1};
    return add_node(f, &node);
}

static oxp_status bind_parameters(flattener *f, scope *s)
{
    const oxp_pb_function *fn = s->fn;
    const oxp_draft_node *call = s->call;
    OXP_FAIL_IF(f->ctx, call->n_in > fn->input.n || call->n_out > fn->output.n, OXP_ECORRUPT,
                "the call has %zu inputs and %zu outputs, the function has %zu and %zu", call->n_in,
                call->n_out, fn->input.n, fn->output.n);
    for (size_t i = 0; i < fn->input.n; i++)
        OXP_TRY(map_name(f, s, fn->input.items[i], i < call->n_in ? call->in[i] : ""));
    for (size_t i = 0; i < call->n_out; i++) {
        const char *formal = fn->output.items[i], *inner;
        if (call->out[i][0] == '\0') continue;
        if (!oxp_strmap_get(&s->names, formal, NULL)) {
            OXP_TRY(map_name(f, s, formal, call->out[i]));
            continue;
        }
        OXP_TRY(resolve(f, s, formal, &inner));
        OXP_TRY(add_identity(f, inner, call->out[i], s->opset));
    }
    return OXP_OK;
}

static oxp_status flatten_nodes(flattener *f, scope *s, const oxp_pb_nodes *nodes);

/* ---- branches and bodies ---- */

/* A tensor of the branch's own: inside a function it gets a name that no other call of it has. */
static oxp_status map_own(flattener *f, scope *s, const char *name)
{
    const char *own = name;
    if (name[0] == '\0' || oxp_strmap_get(&s->names, name, NULL)) return OXP_OK;
    if (s->fn) OXP_TRY(fresh_name(f, s, name, &own));
    return map_name(f, s, name, own);
}

static oxp_status map_all_own(flattener *f, scope *s, const oxp_pb_graph *g)
{
    for (size_t i = 0; i < g->input.n; i++) OXP_TRY(map_own(f, s, g->input.items[i].name));
    for (size_t i = 0; i < g->initializer.n; i++)
        OXP_TRY(map_own(f, s, g->initializer.items[i].name));
    for (size_t i = 0; i < g->node.n; i++)
        for (size_t k = 0; k < g->node.items[i].output.n; k++)
            OXP_TRY(map_own(f, s, g->node.items[i].output.items[k]));
    return OXP_OK;
}

static oxp_status resolve_ends(flattener *f, scope *s, oxp_draft_sub *sub)
{
    const oxp_pb_graph *g = sub->pb;
    sub->in = OXP_NEW(f->ctx->scratch, const char *, g->input.n);
    sub->out = OXP_NEW(f->ctx->scratch, const char *, g->output.n);
    sub->init = OXP_NEW(f->ctx->scratch, const char *, g->initializer.n);
    OXP_FAIL_IF(f->ctx, !sub->in || !sub->out || !sub->init, OXP_ENOMEM, "out of memory");
    for (size_t i = 0; i < g->input.n; i++)
        OXP_TRY(resolve(f, s, g->input.items[i].name, &sub->in[i]));
    for (size_t i = 0; i < g->output.n; i++)
        OXP_TRY(resolve(f, s, g->output.items[i].name, &sub->out[i]));
    for (size_t i = 0; i < g->initializer.n; i++)
        OXP_TRY(resolve(f, s, g->initializer.items[i].name, &sub->init[i]));
    return OXP_OK;
}

static oxp_status flatten_sub(flattener *f, scope *s, const oxp_pb_attr *a, captures *captured,
                              oxp_draft_sub *sub)
{
    const oxp_pb_graph *g = a->g;
    OXP_FAIL_IF(f->ctx, s->depth >= MAX_CALL_DEPTH, OXP_ELIMIT,
                "branches and functions are nested more than %d deep", MAX_CALL_DEPTH);
    OXP_FAIL_IF(f->ctx, g->n_sparse > 0, OXP_EUNSUPPORTED,
                "attribute %s has %zu sparse initializers, which are not supported", a->name,
                g->n_sparse);
    scope inner = {.fn = s->fn,
                   .call = s->call,
                   .around = s,
                   .captured = captured,
                   .opset = s->opset,
                   .depth = s->depth + 1};
    oxp_strmap_init(&inner.names, f->ctx->scratch);
    oxp_draft *draft = f->draft, *body = OXP_NEW(f->ctx->scratch, oxp_draft, 1);
    OXP_NOMEM_IF(f->ctx, body);
    *sub = (oxp_draft_sub){.attr = a->name, .pb = g, .body = body};
    OXP_TRY(map_all_own(f, &inner, g));
    f->draft = body;
    const oxp_status status = flatten_nodes(f, &inner, &g->node);
    f->draft = draft;
    OXP_TRY(status);
    return resolve_ends(f, &inner, sub);
}

/* The node's branches and bodies, and what they read as further inputs of the node. */
static oxp_status flatten_subs(flattener *f, scope *s, oxp_draft_node *node)
{
    size_t n = 0;
    for (size_t i = 0; i < node->n_attrs; i++)
        n += node->attrs[i]->type == OXP_PB_GRAPH && node->attrs[i]->g;
    if (n == 0) return OXP_OK;
    captures captured = {.names = NULL};
    oxp_strmap_init(&captured.index, f->ctx->scratch);
    node->subs = OXP_NEW(f->ctx->scratch, oxp_draft_sub, n);
    OXP_NOMEM_IF(f->ctx, node->subs);
    for (size_t i = 0; i < node->n_attrs; i++)
        if (node->attrs[i]->type == OXP_PB_GRAPH && node->attrs[i]->g)
            OXP_TRY(flatten_sub(f, s, node->attrs[i], &captured, &node->subs[node->n_subs++]));
    const char **in = OXP_NEW(f->ctx->scratch, const char *, node->n_in + captured.n);
    OXP_NOMEM_IF(f->ctx, in);
    if (node->n_in) memcpy(in, node->in, node->n_in * sizeof *in);
    if (captured.n) memcpy(in + node->n_in, captured.names, captured.n * sizeof *in);
    node->in = in;
    node->n_captures = captured.n;
    f->ctx->node = node->name;
    f->ctx->op = node->op_type;
    return OXP_OK;
}

/* ---- nodes ---- */

static oxp_status inline_call(flattener *f, const scope *s, const oxp_draft_node *call,
                              const oxp_pb_function *fn)
{
    OXP_FAIL_IF(f->ctx, s->depth >= MAX_CALL_DEPTH || ++f->n_calls > MAX_NODES, OXP_ELIMIT,
                "local functions call each other more than %d deep or %d times", MAX_CALL_DEPTH,
                MAX_NODES);
    const int64_t opset = oxp_pb_opset_of(fn->opset_import.items, fn->opset_import.n, "");
    scope inner = {
        .fn = fn, .call = call, .opset = opset ? opset : s->opset, .depth = s->depth + 1};
    oxp_strmap_init(&inner.names, f->ctx->scratch);
    OXP_TRY(check_opset(f->ctx, inner.opset, "the local function ", fn->name));
    OXP_TRY(bind_parameters(f, &inner));
    return flatten_nodes(f, &inner, &fn->node);
}

/* Recursion is bounded by MAX_CALL_DEPTH. */
static oxp_status flatten_nodes(flattener *f, scope *s, const oxp_pb_nodes *nodes)
{
    for (size_t i = 0; i < nodes->n; i++) {
        const oxp_pb_function *fn;
        oxp_draft_node node;
        OXP_TRY(make_node(f, s, &nodes->items[i], &node));
        OXP_TRY(find_function(f, node.domain, node.op_type, &fn));
        if (fn) {
            OXP_TRY(inline_call(f, s, &node, fn));
            continue;
        }
        OXP_TRY(flatten_subs(f, s, &node));
        OXP_TRY(add_node(f, &node));
    }
    return OXP_OK;
}

/* Names of the graph and, as far as functions are called there, of its branches and bodies; the depth
 * of messages in the file bounds the recursion. */
static oxp_status take_names(flattener *f, const oxp_pb_graph *g)
{
    for (size_t i = 0; i < g->node.n; i++) {
        const oxp_pb_node *node = &g->node.items[i];
        for (size_t k = 0; k < node->output.n; k++) OXP_TRY(take_name(f, node->output.items[k]));
        for (size_t k = 0; k < node->attribute.n; k++)
            if (node->attribute.items[k].g) OXP_TRY(take_names(f, node->attribute.items[k].g));
    }
    for (size_t i = 0; i < g->input.n; i++) OXP_TRY(take_name(f, g->input.items[i].name));
    for (size_t i = 0; i < g->initializer.n; i++)
        OXP_TRY(take_name(f, g->initializer.items[i].name));
    return OXP_OK;
}

static oxp_status index_functions(flattener *f)
{
    for (size_t i = 0; i < f->model->function.n; i++) {
        const oxp_pb_function *fn = &f->model->function.items[i];
        const char *key = oxp_arena_printf(f->ctx->scratch, "%s::%s", fn->domain, fn->name);
        OXP_NOMEM_IF(f->ctx, key);
        OXP_FAIL_IF(f->ctx, fn->defaults.n > MAX_ATTRS, OXP_ELIMIT,
                    "the local function %s has %zu attributes, at most %d are accepted", key,
                    fn->defaults.n, MAX_ATTRS);
        OXP_FAIL_IF(f->ctx, oxp_strmap_get(&f->functions, key, NULL), OXP_ECORRUPT,
                    "the local function %s is defined twice", key);
        OXP_FAIL_IF(f->ctx, !oxp_strmap_put(&f->functions, key, (uint32_t)i), OXP_ENOMEM,
                    "out of memory");
    }
    return f->model->function.n == 0 ? OXP_OK : take_names(f, &f->model->graph);
}

oxp_status oxp_draft_flatten(oxp_ctx *ctx, const oxp_pb_model *model, oxp_draft *out)
{
    *out = (oxp_draft){0};
    flattener f = {.ctx = ctx, .model = model, .draft = out, .budget = MAX_REPEATED};
    if (model->records_left < f.budget) f.budget = (size_t)model->records_left;
    oxp_strmap_init(&f.functions, ctx->scratch);
    oxp_strmap_init(&f.taken, ctx->scratch);
    out->opset = oxp_pb_opset_of(model->opset_import.items, model->opset_import.n, "");
    if (out->opset == 0 && model->ir_version < 3) out->opset = 1; /* opsets came with version 3 */
    OXP_TRY(check_opset(ctx, out->opset, "the model", ""));
    OXP_TRY(index_functions(&f));
    scope top = {.opset = out->opset};
    OXP_TRY(flatten_nodes(&f, &top, &model->graph.node));
    ctx->node = ctx->op = NULL;
    return OXP_OK;
}
