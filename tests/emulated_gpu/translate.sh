#!/bin/sh
# Makes C++ of a CUDA source: launches of kernels become calls, and shared memory is static, for
# blocks run one after the other; the rest is in include/cuda_runtime.h.
# usage: translate.sh FROM TO
set -eu
mkdir -p "$(dirname "$2")"
{
  echo "#line 1 \"$1\""
  sed -E -z -e 's/__shared__ ([^;,]*[ >*&])([A-Za-z0-9_]+)((\[[^]]*\])*);/static \1\2\3; emulated_gpu::begin_shared(\&\2, sizeof(\2));/g' \
    -e 's/([A-Za-z0-9_:]+(<[^<>;]*>)?)\s*<<<([^>;]*)>>>\(/emulated_gpu::launch(\3, [](const auto\&... given) { \1(given...); }, /g' "$1"
} >"$2.new"
if grep -qE '<<<|__shared__' "$2.new"; then
  echo "translate.sh: $1: a launch, or shared memory, is written as none before" >&2
  exit 1
fi
mv "$2.new" "$2"
