#!/usr/bin/env bash
# The layer law (tools/layers.txt): a room includes only itself, rooms it may use, include/onnxplain.h and
# system headers; only src/exec/dnnl/ includes oneapi/; OpenMP only in src/exec/; operators are switched over
# only in src/ops/; cli/ and examples/ see the public header only.
# Usage: check_layers.sh [ROOT]. Prints each offence as FILE:LINE: what, and exits 1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/..}"

files() { find "$@" -name '*.[ch]' 2>/dev/null | LC_ALL=C sort; }
mapfile -t all < <(files src cli examples || true)
if [ ${#all[@]} -eq 0 ]; then exit 0; fi
perl "$here/c_code.pl" --keep-strings "${all[@]}" | awk -v law="$here/layers.txt" '
    BEGIN {
        while ((getline line < law) > 0) {
            if (line !~ /^[a-z]/) continue
            room = line; sub(/:.*/, "", room); sub(/^[a-z]+:/, "", line)
            known[room] = 1; may[room, room] = 1
            n = split(line, used, " ")
            for (i = 1; i <= n; i++) may[room, used[i]] = 1
        }
    }
    function offence(what) { print file ":" lineno ": " what; bad = 1 }
    {
        colon = index($0, ":"); file = substr($0, 1, colon - 1); rest = substr($0, colon + 1)
        colon = index(rest, ":"); lineno = substr(rest, 1, colon - 1); text = substr(rest, colon + 1)
        split(file, part, "/"); top = part[1]; room = part[2]
        if (top == "src" && !(room in known) && !told[room]++) offence("room " room " is not in tools/layers.txt")
        if (text ~ /(#[ \t]*pragma|_Pragma\(")[ \t]*omp/ && file !~ /^src\/exec\//) offence("OpenMP outside src/exec")
        if (text ~ /case[ \t]+OXP_OP_/ && file !~ /^src\/ops\//) offence("a switch over operators outside src/ops")
        if (text !~ /^[ \t]*#[ \t]*include[ \t]*[<"]/) next
        name = text; sub(/^[^<"]*/, "", name); quoted = (name ~ /^"/)
        name = substr(name, 2); sub(/[>"].*/, "", name)
        if (name ~ /^oneapi\// || name ~ /^dnnl/) {
            if (file !~ /^src\/exec\/dnnl\//) offence("includes " name ": only src/exec/dnnl may")
            next
        }
        if (name == "omp.h" && file !~ /^src\/exec\//) offence("OpenMP outside src/exec")
        if (name == "onnxplain.h" || !quoted) next
        if (top == "examples") { offence("includes " name ": examples see onnxplain.h only"); next }
        if (top == "cli") {
            if (name !~ /^cli\//) offence("includes " name ": cli sees onnxplain.h and cli/ only")
            next
        }
        if (split(name, to, "/") < 2) offence("includes \"" name "\": write \"room/file.h\"")
        else if (!((room, to[1]) in may)) offence("includes " name ": " room " may not use " to[1])
    }
    END { exit bad }
'
