/*
 * Replays a fuzz corpus without libFuzzer, so that every input ever found is an ordinary test in each build.
 * Arguments are files or folders (not descended into). Each input is handed over in a block of exactly its
 * size: ASan then sees a read one byte past the end. No input at all is a failure.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(size ? size : 1);
    int ok = file && bytes && fread(bytes, 1, size, file) == size;
    if (ok)
        LLVMFuzzerTestOneInput(bytes, size);
    else
        fprintf(stderr, "%s: cannot be read\n", path);
    if (file) fclose(file);
    free(bytes);
    return ok;
}

/* Number of inputs replayed; -1 after an error, which has been printed. */
static long replay(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        perror(path);
        return -1;
    }
    if (!S_ISDIR(info.st_mode)) return replay_file(path, (size_t)info.st_size) ? 1 : -1;
    DIR *folder = opendir(path);
    if (!folder) {
        perror(path);
        return -1;
    }
    long count = 0;
    for (struct dirent *entry; count >= 0 && (entry = readdir(folder)) != NULL;) {
        char child[4096];
        snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
        if (stat(child, &info) != 0 || !S_ISREG(info.st_mode)) continue;
        count = replay_file(child, (size_t)info.st_size) ? count + 1 : -1;
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    long total = 0;
    for (int i = 1; i < argc; i++) {
        long count = replay(argv[i]);
        if (count < 0) return 1;
        total += count;
    }
    printf("%ld inputs replayed\n", total);
    return total > 0 ? 0 : 1;
}
