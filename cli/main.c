/* main.c - finds the command, prints help and versions. */
#include "cli/cli.h"

#include <stdarg.h>
#include <string.h>

static const command *const table[] = {
#define COMMAND(name) &command_##name,
#include "cli/cmds.def"
#undef COMMAND
};
enum { COMMANDS = sizeof table / sizeof table[0] };

int fail(int status, const char *fmt, ...)
{
    end_progress();
    va_list args;
    va_start(args, fmt);
    fputs("onnxplain: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    return status;
}

int fail_error(const oxp_error *error)
{
    return fail(error->code == OXP_EINVAL && error->stage == OXP_STAGE_ARG ? EXIT_USAGE : EXIT_WORK,
                "%s", error->message);
}

void note(const cli *c, const char *fmt, ...)
{
    if (c->quiet) return;
    end_progress();
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

static void print_help(FILE *to)
{
    fputs("onnxplain explains an ONNX model's prediction: which part of the input made it say "
          "so.\n\nusage: onnxplain COMMAND ...\n\n",
          to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-9s %s\n", table[i]->name, table[i]->sentence);
    fputs("\n"
          "  onnxplain COMMAND --help   options and examples of a command\n"
          "  onnxplain --version        the version and what is built in\n\n"
          "examples:\n"
          "  onnxplain explain models/efficientnet-lite0.onnx photos/chelsea.png\n"
          "  onnxplain explain model.onnx photo.jpg --method grad-cam,saliency --target tabby "
          "--contrast\n"
          "  onnxplain compare model.onnx photo.jpg\n",
          to);
}

static const command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(table[i]->name, name) == 0) return table[i];
    return NULL;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(name, "--version") == 0) {
        printf("onnxplain %s\n%s", oxp_version(), oxp_build_info());
        return EXIT_DONE;
    }
    const command *cmd = find(name);
    if (!cmd) {
        const char *names[COMMANDS];
        for (size_t i = 0; i < COMMANDS; i++) names[i] = table[i]->name;
        const char *near = nearest(name, names, COMMANDS);
        return fail(EXIT_USAGE, "there is no command '%s'%s%s%s; see onnxplain --help", name,
                    near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
    }
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(cmd->help, stdout);
            return EXIT_DONE;
        }
    cli c;
    const int status = parse_options(argc - 2, argv + 2, cmd, &c);
    return status == EXIT_DONE ? cmd->run(&c) : status;
}

int main(int argc, char **argv)
{
    const int status = run(argc, argv);
    end_progress();
    if (fflush(stdout) != 0 && status == EXIT_DONE)
        return fail(EXIT_WORK, "cannot write to standard output");
    return status;
}
