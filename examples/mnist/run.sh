#!/bin/sh
# Trains, compresses and fine-tunes a model of models/ on MNIST, from random weights.
# usage: examples/mnist/run.sh DATA_DIR [lenet5|lenet_300_100] [SEED] [OUT_DIR]
# DATA_DIR holds MNIST's four .gz files; get_mnist.sh fetches them.
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
data=$(cd "${1:?usage: run.sh DATA_DIR [lenet5|lenet_300_100] [SEED] [OUT_DIR]}" && pwd)
model=${2:-lenet5}
seed=${3:-1}
out=${4:-$root/build/mnist/$model-$seed}

[ -d "models/$model" ] || { echo "run.sh: models/$model is not there" >&2; exit 1; }
. examples/mnist/prepare.sh

last() { ls -t "$1"_iter_*.caffemodel | head -n 1; }
start=$(date +%s)
vibnet-train --solver solver.prototxt --set random_seed="$seed" --log_dir log
vibnet-test --model train_val.prototxt --weights "$(last "$model")" | tee before.txt
vibnet-compress --model train_val.prototxt --weights "$(last "$model")" --out_model small.prototxt \
  --out_weights small.caffemodel --report small.json --verify
vibnet-train --solver finetune_solver.prototxt --weights small.caffemodel \
  --set random_seed="$seed" --log_dir finetune_log
vibnet-test --model small.prototxt --weights "$(last "${model}_small")" | tee after.txt

units() {
  sed -n 's/.*"InformationBottleneck".*"units_after": \([0-9]*\).*/\1/p' small.json | paste -sd-
}
printf '\n%s, seed %s: %s error, units %s, %s weights, %s FLOPs, %s before fine-tuning, %s s\n' \
  "$model" "$seed" "$(error after.txt)" "$(units)" "$(count weights)" "$(count flops)" \
  "$(error before.txt)" $(($(date +%s) - start))
