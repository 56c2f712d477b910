#!/bin/sh
# Runs the tests of an unpacked bundle (see Build in README.md) on a machine with a GPU, in four
# minutes at most. Each step has a limit of its own and prints a line, as each of its tests does where it
# fails; OUT/gpu.log has the rest.
# usage: tests/gpu.sh BUNDLE OUT
set -u
usage='usage: tests/gpu.sh BUNDLE OUT'
bundle=$(cd "${1:?$usage}" && pwd) || exit 1
mkdir -p "${2:?$usage}" || exit 1
log=$(cd "$2" && pwd)/gpu.log
rm -f "$log" "$log".*

# CUDA's libraries are the system's, or those that pip put beside PyTorch.
packages=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))' 2>/dev/null)
for folder in "$packages"/nvidia/*/lib /usr/local/cuda/lib64; do
  [ -d "$folder" ] && LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}"
if ldd "$bundle/bin/vibnet_test" 2>&1 | grep 'not found'; then
  echo "gpu.sh: vibnet_test lacks these libraries"
  exit 1
fi

# Each step has a log of its own until all have ended.
step() {
  name=$1 limit=$2
  shift 2
  begin=$(date +%s)
  echo "== $name: $*" >"$log.$name"
  timeout -k 5 "$limit" "$@" >>"$log.$name" 2>&1
  status=$?
  [ $status -eq 0 ] || echo "$name" >>"$log.failed"
  skipped=$(grep -c '^\[  SKIPPED \].*)$' "$log.$name")
  echo "$name: exit $status, $(($(date +%s) - begin)) s, $skipped skipped," \
    "$(grep -iE 'passed|failed' "$log.$name" | tail -n 1)"
  return $status
}
# A fault in one test is all later ones' in its process, so each is then run alone.
tests() {
  name=$1 limit=$2 filter=$3
  shift 3
  step "$name" "$limit" "$@" "$bundle/bin/vibnet_test" --gtest_filter="$filter" && return
  [ $# -eq 0 ] || return
  "$bundle/bin/vibnet_test" --gtest_filter="$filter" --gtest_list_tests |
    awk '/^[^ ]/ { suite = $1 } /^ / { print suite $1 }' | {
    while read -r test; do
      step "$test" 60 "$bundle/bin/vibnet_test" --gtest_filter="$test" </dev/null &
    done
    wait
  }
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || {
  echo "gpu.sh: nvidia-smi finds no GPU, without which the tests skip"
  exit 1
}
tests layers 150 'GpuLayers.*:Gpu.*' &
tests nets 150 '*Gpu*-GpuLayers.*:Gpu.*:GpuMemory.*' &
step golden 150 "$bundle/bin/golden_test" --device gpu "$bundle/share/vibnet/tests/data/golden" &
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck; do
    tests $tool 200 'Gpu.Computes*:Gpu.WorksInPlace*:GpuPasses.OfEachChain*:GpuPasses.Normalize*' \
      compute-sanitizer --tool $tool --error-exitcode 1 &
  done
else
  echo "compute-sanitizer: not here"
fi
wait
tests memory 30 'GpuMemory.*'  # which fills the device
cat "$log".[!f]* >"$log"
failed=0
[ -e "$log.failed" ] && failed=1
rm -f "$log".*
exit $failed
