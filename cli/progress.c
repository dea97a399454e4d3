/* progress.c - one line that fills up, on a terminal, for work that takes longer than half a second; and Ctrl-C. */
#include "cli/cli.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The bar belongs to the terminal, of which there is one per process. */
static struct {
    double start;
    bool shown;
    char what[64];
} bar;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

void stop_on_interrupt(void)
{
    struct sigaction action = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

bool interrupted(void)
{
    return stopped != 0;
}

int watch_progress(const char *what, uint64_t done, uint64_t total, void *user)
{
    (void)what;
    (void)done;
    (void)total;
    (void)user;
    return stopped;
}

int show_progress(const char *what, uint64_t done, uint64_t total, void *user)
{
    enum { WIDTH = 30 };
    (void)user;
    if (!isatty(STDERR_FILENO) || total == 0) return stopped;
    if (strncmp(bar.what, what, sizeof bar.what - 1) != 0 || done <= 1) {
        snprintf(bar.what, sizeof bar.what, "%s", what);
        bar.start = now();
    }
    const double seconds = now() - bar.start;
    if (seconds < 0.5 && !bar.shown) return stopped;
    const int filled = (int)(WIDTH * done / total);
    char cells[WIDTH + 1];
    for (int i = 0; i < WIDTH; i++) cells[i] = i < filled ? '#' : '.';
    cells[WIDTH] = '\0';
    const double left = done ? seconds * (double)(total - done) / (double)done : 0.0;
    fprintf(stderr, "\r%-22s [%s] %3d %%  %.0f s left \033[K", what, cells,
            (int)(100 * done / total), left);
    fflush(stderr);
    bar.shown = true;
    return stopped;
}

void end_progress(void)
{
    if (bar.shown) fputs("\r\033[K", stderr);
    bar.shown = false;
}
