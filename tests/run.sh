#!/bin/sh
# Sets the machine up, builds, and runs every test; ends with ctest's summary.
# usage: tests/run.sh [PRESET]   (release, debug, asan or races; release if not given)
# VIBNET_NIGHTLY=1 tests/run.sh compresses 5,000 random graphs instead of 200; VIBNET_SEED=N that one.
set -eu
cd "$(dirname "$0")/.."
preset=${1:-release}

tools/setup.sh
# The check of exported nets needs onnx and onnxruntime; where they cannot be had it is skipped.
{ python3 -m venv build/python && build/python/bin/pip install -q -r tests/requirements.txt; } ||
  echo "run.sh: no Python with onnx and onnxruntime can be made; ctest will skip the test onnx"
cmake --preset "$preset"
cmake --build --preset "$preset"
exec ctest --preset "$preset" -j "$(nproc)"
