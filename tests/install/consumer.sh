#!/usr/bin/env bash
# Installs into a prefix, moves the prefix, and builds examples/01_explain.c against it with nothing but pkg-config's flags.
# Usage: consumer.sh CMAKE CC PKG_CONFIG SOURCE BUILD
set -euo pipefail
cmake=$1 cc=$2 pkg_config=$3 source=$4 build=$5
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() {
    echo "$*" >&2
    exit 1
}

DESTDIR=$tmp/stage "$cmake" --install "$build" --prefix /opt/first >"$tmp/log" || { cat "$tmp/log"; exit 1; }
[ ! -e /opt/first ] || fail "DESTDIR was not heeded"
mv "$tmp/stage/opt/first" "$tmp/prefix"
for file in bin/onnxplain include/onnxplain.h share/doc/onnxplain/LICENSE share/doc/onnxplain/NOTICE; do
    [ -e "$tmp/prefix/$file" ] || fail "$file was not installed"
done

pc=$(find "$tmp/prefix" -name onnxplain.pc)
[ -n "$pc" ] || fail "onnxplain.pc was not installed"
export PKG_CONFIG_PATH=${pc%/*}
libdir=$("$pkg_config" --variable=libdir onnxplain)
version=$(sed -n 's/^#define OXP_VERSION_[A-Z]* //p' "$source/include/onnxplain.h" | paste -sd.)
found=$("$pkg_config" --modversion onnxplain)
[ "$found" = "$version" ] || fail "onnxplain.pc says $found, the header $version"

cp "$source/examples/01_explain.c" "$tmp/consumer.c"
cd "$tmp"
read -ra flags <<<"$("$pkg_config" --cflags --libs onnxplain)"
"$cc" -std=c11 -Wall -Wextra -Werror -o consumer consumer.c "${flags[@]}"
LD_LIBRARY_PATH=$libdir ./consumer "$source/models/efficientnet-lite0.onnx" "$source/photos/chelsea.png" map.png grad-cam >said
grep -q 'Egyptian cat' said || fail "the consumer said: $(cat said)"
[ "$(head -c 4 map.png | tail -c 3)" = PNG ] || fail "map.png is no PNG"

# The library that it asks for is found by that name, and the command finds it without help.
soname=$(readelf -d consumer | sed -n 's/.*NEEDED.*\[\(libonnxplain[^]]*\)\]/\1/p')
[ -e "$libdir/$soname" ] || fail "the consumer needs '$soname', which is not in $libdir"
env -u LD_LIBRARY_PATH "$tmp/prefix/bin/onnxplain" --version | grep -q "^onnxplain $version$" || fail "the installed command fails"
