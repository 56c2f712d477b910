#!/bin/sh
# A network learns handwritten digits, loses most of its weights, and stays as accurate.
# usage: examples/digits/run.sh [OUT_DIR]   (build/digits if not given)
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
out=${1:-$root/build/digits}

say() { printf '\n== %s\n' "$*"; }

say "Setting up and building"
tools/setup.sh
cmake --preset release >/dev/null
cmake --build --preset release --target tools cut_sheet
PATH=$root/build/release/tools:$PATH

mkdir -p "$out"
cd "$out"
say "The digits: 4,000 to learn from, 1,000 to be tested on"
"$root/examples/digits/get_digits.sh" "$out"
[ -s test.txt ] || "$root/build/release/examples/cut_sheet" digits.png .
for set in train test; do
  [ -d digits_$set.lmdb ] || vibnet-convert-imageset . $set.txt digits_$set.lmdb --gray
done

say "Training LeNet without bottlenecks, to compare with"
vibnet-train --solver "$root/examples/digits/plain_solver.prototxt" --log_dir "$out/plain_log"
vibnet-test --model "$root/examples/digits/plain.prototxt" \
  --weights plain_iter_2400.caffemodel | tee plain.txt

say "Training LeNet with bottlenecks"
vibnet-train --solver "$root/examples/digits/solver.prototxt" --log_dir "$out/log"
vibnet-test --model "$root/examples/digits/train_val.prototxt" \
  --weights digits_iter_4800.caffemodel | tee before.txt

say "Compressing it"
vibnet-compress --model "$root/examples/digits/train_val.prototxt" \
  --weights digits_iter_4800.caffemodel --out_model small.prototxt \
  --out_weights small.caffemodel --report small.json --verify
vibnet-test --model small.prototxt --weights small.caffemodel | tee after.txt

say "Timing both on one picture"
vibnet-time --model "$root/examples/digits/plain.prototxt" --batch 1 --iterations 200 --json >plain_time.json
vibnet-time --model small.prototxt --batch 1 --iterations 200 --json >small_time.json

error() { awk '$1 == "accuracy" { printf "%.2f %%", 100 * (1 - $3) }' "$1"; }
count() { sed -n "s/.*\"$1\": {.*\"$2\": \([0-9]*\).*/\1/p" small.json; }
ms() { sed 's/^{"forward_ms": \([^,]*\),.*/\1/' "$1"; }
row() { printf '%-26s %16s %16s\n' "$1" "$2" "$3"; }

say "What became of it"
row "" before after
row "error, plain LeNet" "$(error plain.txt)" ""
row "error, with bottlenecks" "$(error before.txt)" "$(error after.txt)"
row "weights" "$(count before weights)" "$(count after weights)"
row "FLOPs a picture" "$(count before flops)" "$(count after flops)"
row "activation memory, bytes" "$(count before activation_bytes)" "$(count after activation_bytes)"
row "caffemodel, bytes" "$(count before caffemodel_bytes)" "$(count after caffemodel_bytes)"
row "milliseconds a picture" "$(ms plain_time.json)" "$(ms small_time.json)"
printf '\nThe pictures: %s/log/curves.svg and kept_units.svg\n' "$out"
