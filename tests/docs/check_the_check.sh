#!/usr/bin/env bash
# check_docs.sh must find what it is for: each line below is a document of its own in a small tree.
set -euo pipefail
check=$(cd "$(dirname "$0")" && pwd)/check_docs.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0
mkdir -p "$tree"/{src/ir,cli,docs,tests/unit/ir,tests/ops,build}
echo 'int oxp_graph_new(void); /* OXP_OK */' >"$tree/src/ir/graph.h"
echo 'static const char *words[] = {"inspect", "--layers"};' >"$tree/cli/main.c"
printf 'check: all\n\tctest\n' >"$tree/Makefile"
touch "$tree/build/onnxplain" "$tree/tests/ops/unary.cases"

# expect pass|fail TEXT
expect() {
    local want=$1 got=pass
    printf '%b\n' "$2" >"$tree/docs/page.md"
    "$check" "$tree" "$tree/build" docs/page.md >"$tree/log" 2>&1 || got=fail
    if [ "$got" = fail ] && ! grep -q '^docs/page.md:[0-9]*: ' "$tree/log"; then got="fail without naming the place"; fi
    if [ "$got" != "$want" ]; then
        printf 'check_docs.sh: expected %s, got %s for:\n%b\n' "$want" "$got" "$2"
        cat "$tree/log"
        failed=1
    fi
}

expect pass 'See `src/ir/graph.h`, `graph.h`, `tests/ops/*.cases`, `unary.cases` and [the room](../src/ir).'
expect fail 'See `src/ir/grape.h`.'
expect fail 'See `grape.h`.'
expect fail '```\nless src/ir/grape.h\n```'
expect pass 'Plain words such as src/ir/grape.h and make cake are not looked at.'
expect pass '<!-- example: src/ir/grape.h -->\nWrite `src/ir/grape.h`.'
expect fail 'See [the room](../src/kitchen).'
expect pass '`make check`, `build/onnxplain`, `unit_ir`'
expect fail '`make cake`'
expect fail '`build/onnxplode`'
expect fail '`unit_attic`'
expect pass '```python\nimport onnxplain as ox\n```'
expect pass '`oxp_graph_new` gives `OXP_OK`; a family `oxp_graph_`'
expect fail '`oxp_grape_new`'
expect fail '```c\nreturn OXP_NOT_OK;\n```'
expect pass '`onnxplain inspect MODEL --layers`'
expect fail '`onnxplain expect MODEL`'
expect fail '```\n$ onnxplain inspect MODEL --liars\n```'
exit $failed
