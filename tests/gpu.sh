#!/bin/sh
# Runs the tests of an unpacked bundle (see Build in README.md) on a machine with a GPU, in six minutes
# at most. Each step has a limit of its own and prints a line; OUT/gpu.log has the rest.
# usage: tests/gpu.sh BUNDLE OUT
set -u
usage='usage: tests/gpu.sh BUNDLE OUT'
bundle=$(cd "${1:?$usage}" && pwd) || exit 1
mkdir -p "${2:?$usage}" || exit 1
log=$(cd "$2" && pwd)/gpu.log
: >"$log"

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

failed=0
step() {
  name=$1 limit=$2
  shift 2
  begin=$(date +%s)
  echo "== $name: $*" >>"$log"
  timeout "$limit" "$@" >"$log.step" 2>&1
  status=$?
  cat "$log.step" >>"$log"
  [ $status -eq 0 ] || failed=1
  echo "$name: exit $status, $(($(date +%s) - begin)) s, $(grep -iE 'passed|failed' "$log.step" | tail -n 1)"
  rm "$log.step"
}
tests() {
  name=$1 limit=$2 filter=$3
  shift 3
  step "$name" "$limit" "$@" "$bundle/bin/vibnet_test" --gtest_filter="$filter"
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
tests layers 60 'GpuLayers.*:Gpu.*'
tests nets 60 'GpuPasses.*:GpuSolverTest.*:DataLayerTest.*Gpu*'
step golden 60 "$bundle/bin/golden_test" --device gpu "$bundle/share/vibnet/tests/data/golden"
tests memory 30 'GpuMemory.*'
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck; do
    tests $tool 45 'GpuPasses.*' compute-sanitizer --tool $tool --error-exitcode 1
  done
else
  echo "compute-sanitizer: not here"
fi
exit $failed
