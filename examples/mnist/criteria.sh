#!/bin/sh
# Cuts LeNet-5 by one of four criteria and fine-tunes what is left: ten epochs of training, the cut,
# ten epochs more.
# usage: examples/mnist/criteria.sh DATA_DIR [vib|hard_concrete|l1|slimming] [CUT] [SEED] [OUT_DIR]
# DATA_DIR holds MNIST's four .gz files; get_mnist.sh fetches them. CUT is vibnet-compress's threshold,
# or a target such as weights=0.01.
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
data=$(cd "${1:?usage: criteria.sh DATA_DIR [CRITERION] [CUT] [SEED] [OUT_DIR]}" && pwd)
criterion=${2:-vib}
seed=${4:-1}
out=${5:-$root/build/mnist/criteria-$criterion-$seed}

case $criterion in
  vib) net=train_val.prototxt by=gates threshold=0 ;;
  hard_concrete) net=hard_concrete.prototxt by=gates threshold=0 ;;
  l1) net=plain.prototxt by=l1 threshold=0.17 ;;
  slimming) net=slimming.prototxt by=batch_norm threshold=-0.036 ;;
  *) echo "criteria.sh: criterion '$criterion' is not known" >&2; exit 1 ;;
esac
cut=${3:-$threshold}
case $cut in
  *=*) cut="--target_${cut%%=*} ${cut#*=}" ;;
  *) cut="--threshold $cut" ;;
esac

model=lenet5
. examples/mnist/prepare.sh

vibnet-train --solver criteria_solver.prototxt --set net="$net" --set random_seed="$seed" --log_dir log
vibnet-test --model "$net" --weights criterion_iter_6000.caffemodel | tee whole.txt
vibnet-compress --model "$net" --weights criterion_iter_6000.caffemodel --criterion "$by" \
  $cut --out_model small.prototxt --out_weights small.caffemodel \
  --report small.json --verify
vibnet-test --model small.prototxt --weights small.caffemodel | tee before.txt
vibnet-train --solver finetune_solver.prototxt --weights small.caffemodel --set max_iter=6000 \
  --set random_seed="$seed" --log_dir finetune_log
vibnet-test --model small.prototxt --weights lenet5_small_iter_6000.caffemodel | tee after.txt

printf '\n%s, seed %s: %s weights, %s FLOPs; error %s whole, %s cut, %s fine-tuned\n' \
  "$criterion" "$seed" "$(count weights)" "$(count flops)" "$(error whole.txt)" \
  "$(error before.txt)" "$(error after.txt)"
