#!/bin/sh
# Builds the fuzz targets and runs each in turn; stops at the first finding, which it leaves in
# build/fuzz/found/TARGET for tests/data/fuzz/TARGET once it is mended.
# usage: tests/fuzz/run.sh [SECONDS [TARGET...]]   (600 s each, all targets)
# needs: apt-get install clang libclang-rt-14-dev libomp-dev
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-600}
[ $# = 0 ] || shift
[ $# -gt 0 ] || set -- prototxt solver caffemodel datum idx cifar

cmake --preset fuzz
cmake --build --preset fuzz

# The words of the schema and the layers' types are what a prototxt is made of.
dictionary=build/fuzz/dictionary.txt
{
  grep -oE '[A-Za-z_0-9]{3,}' proto/vibnet.proto
  grep -rohE 'REGISTER_LAYER\([A-Za-z0-9]+' src/layers | cut -d'(' -f2
} | sort -u | sed 's/.*/"&"/' > "$dictionary"

export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
for target; do
  corpus=build/fuzz/corpus/$target
  found=build/fuzz/found/$target
  mkdir -p "$corpus" "$found"
  words=""
  case $target in prototxt | solver) words="-dict=$dictionary -only_ascii=1" ;; esac
  echo "== $target: $seconds s"
  "build/fuzz/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len=16384 -timeout=20 \
    -rss_limit_mb=3072 -print_final_stats=1 -artifact_prefix="$found/" $words \
    "$corpus" tests/fuzz/corpus/"$target" $(find tests/data/fuzz/"$target" -type d 2>/dev/null)
done
