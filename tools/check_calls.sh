#!/usr/bin/env bash
# Only src/base allocates, ends the process or prints: elsewhere in src/ memory comes from arenas (or the
# oxp_mem_* hooks), failure is a status, and text goes out through callbacks. snprintf and members named
# like these (hooks->free) are fine. Usage: check_calls.sh [ROOT]; offences as FILE:LINE:TEXT, exit 1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/..}"

names='malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|strdup|strndup|asprintf|free'
names+='|exit|_Exit|_exit|quick_exit|abort|printf|vprintf|puts|putchar|perror'
mapfile -t all < <(find src -name '*.[ch]' -not -path 'src/base/*' 2>/dev/null | LC_ALL=C sort || true)
if [ ${#all[@]} -eq 0 ]; then exit 0; fi
if perl "$here/c_code.pl" "${all[@]}" |
    perl -ne "print, \$bad = 1 if /^[^:]*:\d+:.*(?:(?<![\\w.>])(?:$names)\\s*\\(|\\bstd(?:out|err)\\b)/; END { exit !\$bad }"
then
    echo "check_calls: these belong in src/base only" >&2
    exit 1
fi
