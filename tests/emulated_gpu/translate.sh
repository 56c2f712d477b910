#!/bin/sh
# Makes C++ of a CUDA source: launches of kernels become calls, the rest is in include/cuda_runtime.h.
# usage: translate.sh FROM TO
set -eu
mkdir -p "$(dirname "$2")"
{
  echo "#line 1 \"$1\""
  sed -E -z 's/([A-Za-z_:]+(<[^<>;]*>)?)\s*<<<([^>;]*)>>>\(/emulated_gpu::launch(\3, [](const auto\&... given) { \1(given...); }, /g' "$1"
} >"$2.new"
if grep -q '<<<' "$2.new"; then
  echo "translate.sh: $1: a launch is written as none before" >&2
  exit 1
fi
mv "$2.new" "$2"
