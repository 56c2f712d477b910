#!/bin/sh
# Cuts VGG-16 to 30 % of its FLOPs by one of four criteria and fine-tunes what is left: from three
# epochs without bottlenecks (prepare.sh), 600 iterations, the cut, and one epoch more.
# usage: examples/cifar10/criteria.sh DATA_DIR [vib|hard_concrete|hard_concrete_target|slimming|l1] [OUT_DIR]
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
data=${1:?usage: criteria.sh DATA_DIR [CRITERION] [OUT_DIR]}
criterion=${2:-vib}
out=${3:-$root/build/cifar10}
target='--set target.flops=0.3 --set compact_interval=50'

by=gates net=$criterion.prototxt
case $criterion in
  vib) train=$target cut='' ;;
  hard_concrete) train='' cut='--target_flops 0.3' ;;
  hard_concrete_target) train=$target cut='' net=hard_concrete.prototxt ;;
  slimming) train='' cut='--target_flops 0.3' by=batch_norm ;;
  l1) train='' cut='--target_flops 0.3' by=l1 net=plain.prototxt ;;
  *) echo "criteria.sh: criterion '$criterion' is not known" >&2; exit 1 ;;
esac

examples/cifar10/prepare.sh "$data" "$out"
PATH=$root/build/release/tools:$PATH
cd "$out"
sed -e 's/type: "InformationBottleneck"/type: "HardConcrete"/' \
  -e 's/param { decay_mult: 1 } .*/param { lr_mult: 10 } hard_concrete_param { gamma: 4 kl_scale: WIDTH } }/' \
  train_val.prototxt >hard_concrete.prototxt
sed 's/\(type: "Scale".*\)scale_param/\1param { l1_decay: 1e-3 } scale_param/' plain.prototxt >slimming.prototxt

linear='--set lr_policy=poly --set power=1 --set gamma=0 --set stepsize=0 --set snapshot=0 --set test_interval=0'
mkdir -p "$criterion"
vibnet-train --solver solver.prototxt --weights vgg16_cifar10_plain_iter_1173.caffemodel \
  --set net="$net" --set max_iter=600 $linear $train --set snapshot_prefix="$criterion/whole" \
  --log_dir "$criterion/log"
weights=$criterion/whole_iter_600.caffemodel
[ -e "$criterion/whole_iter_600.prototxt" ] && net=$criterion/whole_iter_600.prototxt
error() { vibnet-test --model "$1" --weights "$2" | awk '$1 == "accuracy" { printf "%.2f %%", 100 * (1 - $3) }'; }
whole=$(error "$net" "$weights")
vibnet-compress --model "$net" --weights "$weights" --criterion $by $cut \
  --out_model "$criterion/small.prototxt" --out_weights "$criterion/small.caffemodel" \
  --report "$criterion/small.json"
cut=$(error "$criterion/small.prototxt" "$criterion/small.caffemodel")
vibnet-train --solver solver.prototxt --weights "$criterion/small.caffemodel" \
  --set net="$criterion/small.prototxt" --set max_iter=391 --set base_lr=0.0005 --set kl_weight=0 \
  $linear --set snapshot_prefix="$criterion/tuned" --log_dir "$criterion/tuned_log"
tuned=$(error "$criterion/small.prototxt" "$criterion/tuned_iter_391.caffemodel")
count() { sed -n "s/.*\"after\": {.*\"$1\": \([0-9]*\).*/\1/p" "$criterion/small.json"; }
printf '\n%s: %s weights, %s FLOPs; error %s whole, %s cut, %s fine-tuned\n' "$criterion" \
  "$(count weights)" "$(count flops)" "$whole" "$cut" "$tuned"
