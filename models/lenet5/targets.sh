#!/bin/sh
# Trains LeNet-5 to six shares of its FLOPs, and draws error over size.
# usage: models/lenet5/targets.sh DATA_DIR [OUT_DIR] [more flags of vibnet-sweep...]
# DATA_DIR holds mnist_train.lmdb and mnist_test.lmdb; examples/mnist/run.sh makes them.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
data=${1:?usage: targets.sh DATA_DIR [OUT_DIR]}
out=${2:-$root/build/mnist/targets}
shift; [ $# -eq 0 ] || shift
mkdir -p "$out"
out=$(cd "$out" && pwd)
PATH=$root/build/release/tools:$PATH
cd "$data"
vibnet-sweep --solver "$root/models/lenet5/solver.prototxt" --out_dir "$out" \
  --target_flops 0.5,0.35,0.25,0.15,0.1,0.05 --set max_iter=4000 --set kl_warmup=0 \
  --set compact_interval=100 --set test_interval=1000 "$@"
