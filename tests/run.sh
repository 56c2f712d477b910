#!/bin/sh
# Sets the machine up, builds, and runs every test; ends with ctest's summary.
# usage: tests/run.sh [PRESET]   (release, debug or asan; release if not given)
set -eu
cd "$(dirname "$0")/.."
preset=${1:-release}

tools/setup.sh
cmake --preset "$preset"
cmake --build --preset "$preset"
exec ctest --preset "$preset" -j "$(nproc)"
