#!/usr/bin/env bash
# Sizes that keep the code readable: no C file above 1000 lines, the public header at most 500 (it is its own
# reference: docs/api.md is made from it); functions above 80 lines are named but do not fail. Usage: check_sizes.sh [ROOT]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/..}"

bad=0
while IFS= read -r file; do
    limit=1000
    if [ "$file" = include/onnxplain.h ]; then limit=500; fi
    lines=$(wc -l <"$file")
    if [ "$lines" -gt "$limit" ]; then
        echo "$file: $lines lines, at most $limit allowed: split it"
        bad=1
    fi
    # A function opens with "{" in column 1 (or a line from column 1 that ends in ") {") and ends with "}" there.
    awk -v file="$file" '
        /^\{/ || /^[A-Za-z_].*\) *\{$/ { start = NR }
        /^\}/ && start { if (NR - start > 80) print file ":" start ": warning: function of " NR - start " lines"; start = 0 }
    ' "$file"
done < <(find include src cli tests fuzz bench examples -name '*.[ch]' 2>/dev/null | LC_ALL=C sort || true)
exit $bad
