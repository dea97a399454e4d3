/* methods_page.c - docs/methods.md: every method as it declares itself, by family. Prints Markdown; the prose
 * at the top is the only text here that the library does not know. */
#include "cli/cli.h"

#include <ctype.h>
#include <string.h>

static const char top[] =
    "# Methods\n"
    "<!-- Printed by `onnxplain methods --markdown`; `make docs` writes it. The text is that of "
    "the "
    "descriptors in src/explain. -->\n\n"
    "Y is the explained scalar: the score of the target, or of the target minus the contrast. x is "
    "an input (or a `--wrt`\n"
    "tensor), x0 a baseline, A the activation of a layer, k a channel, g the adjoint of what is "
    "named. A method gives a **raw\n"
    "attribution**: signed, unnormalised, in the tensor's own shape (`--format npy`). Reducing "
    "channels, enlarging to the input, scale\n"
    "and colour are separate steps, recorded in the result. Scores are logits unless `--space` "
    "says otherwise. Each item of a batch is\n"
    "explained by itself, with its own target. Kinks are those of [decisions.md](decisions.md).\n\n"
    "Every formula is pinned on its family's page, with numbers worked out by hand that the tests "
    "assert to 1e-9; how close other software\n"
    "comes on whole models is in [parity.md](parity.md). Costs are per item; a method of many "
    "passes takes one more, which finds the\n"
    "target. `bench/run --methods` prints passes, work and seconds of each on ResNet-50.\n\n"
    "## Which one?\n\n"
    "| to see | begin with | then |\n"
    "|---|---|---|\n"
    "| where a picture, volume or series holds the class | `grad-cam`, little more than one "
    "forward pass | "
    "`layercam` at earlier layers; `occlusion`, which needs no gradient |\n"
    "| fine detail | `integrated-gradients`, whose shares add up | `lrp` with "
    "`composite=epsilon-plus`; "
    "`smoothgrad` of `saliency` |\n"
    "| which tokens of a text mattered | `input-x-gradient` or `lrp` | `contrastive-erasure`: "
    "take a token away and look |\n"
    "| which features of a table | `integrated-gradients` with a `baseline` that means something | "
    "`deeplift-shap`, `feature-ablation` |\n"
    "| why this class and not that one | any method with `--contrast` | `contrastive-gradient`, "
    "`finer-cam` |\n"
    "| what a vision transformer attends to | `tmme` or `legrad`, which know the class | "
    "`attention-rollout`, which does not |\n"
    "| a hidden layer's share | `conductance` | `gradient-x-activation`, one pass |\n"
    "| whether a map means anything | `random`, `sobel`: does yours say more? | another class: "
    "does the map change? |\n\n"
    "No method is right everywhere. Where two that rest on different ideas agree, the map is worth "
    "more than either.\n\n"
    "## Families\n\n";

/* Writes text as Markdown would show it: `in_table` also keeps cells together. */
static void say(const char *text, bool in_table)
{
    for (const char *p = text; *p; p++) {
        const bool inside =
            p > text && isalnum((unsigned char)p[-1]) && isalnum((unsigned char)p[1]);
        if (*p == '*' || *p == '<' || *p == '`' || (*p == '_' && !inside) ||
            (*p == '|' && in_table))
            putchar('\\');
        putchar(*p);
    }
}

static bool begins_family(size_t i)
{
    return i == 0 || oxp_method_family_of(i) != oxp_method_family_of(i - 1);
}

/* GitHub's: lower case, blanks become hyphens, of the rest only letters, digits, '-' and '_' stay. */
static void anchor_of(const char *heading, char anchor[64])
{
    size_t n = 0;
    for (; *heading && n < 63; heading++)
        if (*heading == ' ')
            anchor[n++] = '-';
        else if (isalnum((unsigned char)*heading) || strchr("-_", *heading))
            anchor[n++] = (char)tolower((unsigned char)*heading);
    anchor[n] = '\0';
}

static bool same_anchor(const char *heading, const char *anchor)
{
    char other[64];
    anchor_of(heading, other);
    return strcmp(anchor, other) == 0;
}

/* To the heading of method i, or of the family that begins with it. The second heading of a name (grad-cam++ after
 * grad-cam) has "-1" behind its anchor, and so on. */
static void link_to(size_t i, bool family)
{
    const char *text = family ? oxp_method_family_of(i)->title : oxp_method_get(i)->name;
    char anchor[64];
    int before = 0;
    anchor_of(text, anchor);
    for (size_t k = 0; k <= i; k++) {
        if (begins_family(k) && !(family && k == i))
            before += same_anchor(oxp_method_family_of(k)->title, anchor);
        if (k < i) before += same_anchor(oxp_method_get(k)->name, anchor);
    }
    printf(family ? "[%s](#%s" : "[`%s`](#%s", text, anchor);
    if (before) printf("-%d", before);
    putchar(')');
}

/* The table of families is also the README's (tests/cli/readme.pl). */
static void print_families(void)
{
    printf("| family | what it tells | methods |\n|---|---|---|\n");
    for (size_t i = 0; i < oxp_method_count(); i++) {
        const oxp_method_family *f = oxp_method_family_of(i);
        if (begins_family(i)) {
            printf("| ");
            link_to(i, true);
            printf(" | ");
            say(f->sentence, true);
            printf(" | ");
        } else
            printf(", ");
        link_to(i, false);
        if (i + 1 == oxp_method_count() || begins_family(i + 1)) printf(" |\n");
    }
}

static void print_range(const oxp_param_info *p)
{
    switch (p->type) {
    case OXP_PARAM_FLOAT:
        printf("%g to %g", p->min, p->max);
        break;
    case OXP_PARAM_INT:
        printf("whole, %.0f to %.0f", p->min, p->max);
        break;
    case OXP_PARAM_BOOL:
        printf("true, false");
        break;
    case OXP_PARAM_CHOICE:
        for (const char *c = p->choices; *c; c++) *c == ',' ? printf(", ") : putchar(*c);
        break;
    case OXP_PARAM_TEXT:
        printf("text");
        break;
    }
}

static void print_params(size_t method)
{
    const size_t n = oxp_method_get(method)->param_count;
    if (n == 0) return;
    printf("\n| parameter | default | values | what it is |\n|---|---|---|---|\n");
    for (size_t i = 0; i < n; i++) {
        const oxp_param_info *p = oxp_method_param(method, i);
        printf("| `%s` | ", p->name);
        if (*p->default_text) printf("`%s`", p->default_text);
        printf(" | ");
        print_range(p);
        printf(" | ");
        say(p->sentence, true);
        printf(" |\n");
    }
}

static void print_fact(const char *name, const char *text)
{
    printf("- **%s:** ", name);
    say(text, false);
    putchar('\n');
}

static void print_method(size_t i)
{
    static const char *const of[] = {"of the inputs", "of a layer, enlarged to the input",
                                     "of the inputs, with the help of a layer"};
    const oxp_method_info *m = oxp_method_get(i);
    printf("\n### `%s`\n\n**%s.** ", m->name, m->title);
    say(m->sentence, false);
    printf("\n\n");
    print_fact("Computes", m->definition);
    print_fact("Paper", m->paper);
    print_fact("Equals", *m->equals ? m->equals : "no other software's numbers that we know of");
    print_fact("Cost", m->cost);
    print_fact("Weakness", m->weakness);
    printf("- **Map:** %s, %s%s\n", of[m->needs_layer],
           m->is_signed ? "signed: for and against" : "without sign",
           m->is_contrastive ? "; against another class, the runner-up unless `--contrast` names it"
                             : "");
    print_params(i);
}

void print_methods_page(void)
{
    fputs(top, stdout);
    print_families();
    for (size_t i = 0; i < oxp_method_count(); i++) {
        if (begins_family(i)) {
            const oxp_method_family *f = oxp_method_family_of(i);
            printf("\n## %s\n\n", f->title);
            say(f->sentence, false);
            printf(" Pinned, with numbers: [methods/%s.md](methods/%s.md).\n", f->name, f->name);
        }
        print_method(i);
    }
}
