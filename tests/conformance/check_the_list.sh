#!/usr/bin/env bash
# `conformance --update --only X` takes a test that passes off the list of refused ones and leaves the other lines.
#   check_the_list.sh CONFORMANCE DATA
set -euo pipefail
[ -d "$2" ] || { echo "skipped: no tests at $2"; exit 77; }
list=$(mktemp)
trap 'rm -f "$list"' EXIT
printf 'test_relu  passes\ntest_abs  passes too, but is not asked for\ntest_gone  there is none\n' >"$list"
"$1" --data "$2" --refused "$list" --update --only test_relu
want='test_abs  passes too, but is not asked for
test_gone  there is none'
[ "$(grep -v '^#' "$list")" = "$want" ] || { echo "after --only test_relu the list is:"; cat "$list"; exit 1; }
