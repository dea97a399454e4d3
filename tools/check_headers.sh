#!/usr/bin/env bash
# Every header of src/ and include/ compiles on its own, so that no file depends on the order of includes.
# Usage: check_headers.sh [ROOT]; CC names the compiler.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/..}"

bad=0
while IFS= read -r header; do
    printf '#include "%s"\ntypedef int not_empty;\n' "$header" |
        "${CC:-cc}" -std=c11 -D_XOPEN_SOURCE=700 -D_DEFAULT_SOURCE -Wall -Wextra -Wpedantic -Wshadow -Wundef -Werror \
            -I. -Isrc -Iinclude -fsyntax-only -x c - || bad=1
done < <(find src include -name '*.h' 2>/dev/null | LC_ALL=C sort || true)
exit $bad
