#!/bin/sh
# Makes CIFAR-10 into LMDBs, builds the tools, and trains VGG-16 for three epochs without bottlenecks:
# what criteria.sh and the figures of models/vgg16_cifar10/README.md start from.
# usage: examples/cifar10/prepare.sh DATA_DIR [OUT_DIR]
# DATA_DIR holds cifar-10-batches-bin, as published in cifar-10-binary.tar.gz, or the pictures as
# train/CLASS/*.jpg and test/CLASS/*.jpg.
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
data=$(cd "${1:?usage: prepare.sh DATA_DIR [OUT_DIR]}" && pwd)
out=${2:-$root/build/cifar10}

tools/setup.sh
cmake --preset release >/dev/null
cmake --build --preset release --target tools
PATH=$root/build/release/tools:$PATH

# The pictures of one set, listed with their classes in the order of CIFAR-10's labels.
list() {
  label=0
  for class in airplane automobile bird cat deer dog frog horse ship truck; do
    (cd "$data" && find "$1/$class" -name '*.jpg') | sort | sed "s/\$/ $label/"
    label=$((label + 1))
  done
}
convert() {
  [ -d "cifar10_$1.lmdb" ] && return
  if [ -d "$data/cifar-10-batches-bin" ]; then
    vibnet-convert-cifar "cifar10_$1.lmdb" "$data/cifar-10-batches-bin/"$2
  else
    list "$1" >"$1.txt"
    vibnet-convert-imageset "$data" "$1.txt" "cifar10_$1.lmdb" --shuffle
  fi
}

mkdir -p "$out"
cd "$out"
cp "$root"/models/vgg16_cifar10/*.prototxt .
convert train 'data_batch_*.bin'
convert test 'test_batch.bin'
[ -e vgg16_cifar10_plain_iter_1173.caffemodel ] ||
  vibnet-train --solver plain_solver.prototxt --set max_iter=1173 --set lr_policy=poly \
    --set power=1 --set gamma=0 --set stepsize=0 --set test_interval=1173 --set snapshot=0 \
    --log_dir plain_log
# Bottlenecks that learn ten times as fast, so that units die in a few epochs.
sed 's/param { decay_mult: 1 }/param { lr_mult: 10 decay_mult: 1 }/g' train_val.prototxt >vib.prototxt
sed 's/^net: .*/net: "vib.prototxt"/' solver.prototxt >vib_solver.prototxt
