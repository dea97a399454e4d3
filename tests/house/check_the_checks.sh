#!/usr/bin/env bash
# The check scripts must find what they are for: each offence below is planted alone in a small tree and has
# to be reported; the innocent look-alikes must not be.
set -euo pipefail
tools=$(cd "$(dirname "$0")/../../tools" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0

# expect pass|fail SCRIPT FILE TEXT: plants TEXT as FILE, runs the script, removes FILE again.
expect() {
    local want=$1 script=$2 file=$tree/$3 got=pass
    mkdir -p "$(dirname "$file")"
    printf '%b\n' "$4" >"$file"
    "$tools/$script" "$tree" >"$tree/log" 2>&1 || got=fail
    if [ "$got" = fail ] && [[ $script =~ layers|calls ]] && ! grep -q "^$3:[0-9]*:" "$tree/log"; then
        got="fail without naming the file"
    fi
    if [ "$got" != "$want" ]; then
        printf '%s: expected %s, got %s for %s:\n%s\n' "$script" "$want" "$got" "$3" "$4"
        cat "$tree/log"
        failed=1
    fi
    rm "$file"
}

expect pass check_layers.sh src/ops/a.c '#include <math.h>\n#include "ir/graph.h"\n#include "onnxplain.h"'
expect fail check_layers.sh src/ops/a.c '#include "exec/run.h"'
expect fail check_layers.sh src/ops/a.c '#  include "exec/run.h"'
expect pass check_layers.sh src/ops/a.c '/*\n#include "exec/run.h"\n*/'
expect fail check_layers.sh src/ops/a.c '#include "conv.h"'
expect fail check_layers.sh src/signal/a.c '#include "ir/graph.h"'
expect fail check_layers.sh src/grad/a.c '#include "onnx/wire.h"'
expect fail check_layers.sh src/exec/a.c '#include <oneapi/dnnl/dnnl.h>'
expect fail check_layers.sh src/exec/a.c '#include "oneapi/dnnl/dnnl.h"'
expect pass check_layers.sh src/exec/dnnl/a.c '#include <oneapi/dnnl/dnnl.h>\n#include "exec/dnnl/compat.h"'
expect fail check_layers.sh src/signal/a.c '#pragma omp parallel for'
expect pass check_layers.sh src/exec/a.c '#include <omp.h>\n#pragma omp parallel for'
expect fail check_layers.sh src/opt/a.c 'case OXP_OP_relu:'
expect fail check_layers.sh src/parlour/a.c 'int x;'
expect fail check_layers.sh cli/a.c '#include "base/arena.h"'
expect pass check_layers.sh cli/a.c '#include "cli/opt.h"\n#include "onnxplain.h"'
expect fail check_layers.sh examples/a.c '#include "api/api.h"'

for call in malloc calloc realloc free exit abort printf strdup perror; do
    expect fail check_calls.sh src/ir/a.c "void f(void) { $call(x); }"
done
expect fail check_calls.sh src/ir/a.c 'x = free (p);'
expect fail check_calls.sh src/ir/a.c 'fprintf(stderr, "x");'
expect pass check_calls.sh src/ir/a.c 'snprintf(b, n, "free(x) %d", vsnprintf(b, n, f, a));'
expect pass check_calls.sh src/ir/a.c '/* malloc(3) */ // exit(1)\nhooks->free(p); oxp_mem_free(p);'
expect pass check_calls.sh src/base/a.c 'free(malloc(3));'

expect pass check_headers.sh src/ir/a.h '#include <stddef.h>\nextern size_t a;'
expect fail check_headers.sh src/ir/a.h 'extern size_t a;'

expect pass check_sizes.sh src/ir/a.c "$(printf 'x\\n%.0s' $(seq 999))"
expect fail check_sizes.sh src/ir/a.c "$(printf 'x\\n%.0s' $(seq 1001))"
expect fail check_sizes.sh include/onnxplain.h "$(printf 'x\\n%.0s' $(seq 501))"

cat >"$tree/exports.c" <<'C'
int oxp_one(void);
int oxp_one(void) { return 1; }
#ifdef STRAY
int stray(void);
int stray(void) { return 2; }
#endif
C
cc -shared -fPIC -o "$tree/good.so" "$tree/exports.c"
cc -shared -fPIC -DSTRAY -o "$tree/bad.so" "$tree/exports.c"
"$tools/check_symbols.sh" "$tree/good.so" || { echo "check_symbols.sh refuses a clean library"; failed=1; }
if "$tools/check_symbols.sh" "$tree/bad.so" >/dev/null 2>&1; then
    echo "check_symbols.sh accepts a stray symbol"
    failed=1
fi
exit $failed
