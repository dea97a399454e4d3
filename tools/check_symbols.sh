#!/usr/bin/env bash
# The shared library exports oxp_* and nothing else. Usage: check_symbols.sh LIBRARY
set -euo pipefail
symbols=$(nm -D --defined-only "$1" | awk '{ sub(/@.*/, "", $NF); print $NF }')
if ! grep -q '^oxp_' <<<"$symbols"; then
    echo "$1 exports no oxp_ symbol" >&2
    exit 1
fi
if grep -v '^oxp_[a-z]' <<<"$symbols"; then
    echo "$1 exports the symbols above, which do not begin with oxp_" >&2
    exit 1
fi
