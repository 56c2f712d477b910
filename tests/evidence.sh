#!/bin/sh
# Prints what stands behind each layer: how many of Caffe's golden cases, of the nets compared with
# OpenCV's dnn and with onnxruntime, and of our own (gradients, values, refusals) name it.
# usage: tests/evidence.sh [PRESET]   (release if not given; built before)
set -eu
cd "$(dirname "$0")/.."
inspect=build/${1:-release}/tools/vibnet-inspect

# How many lines of these files make a layer of the type.
made_in() {
  type=$1
  shift
  cat "$@" | grep -cE "type: [\"']$type[\"']|(UN|BIN)ARY\(\"$type\"" || true
}

echo "| layer | Caffe (golden cases) | OpenCV dnn | onnxruntime | own cases |"
echo "| --- | --- | --- | --- | --- |"
"$inspect" --layers | awk 'NR > 1 { print $1 }' | while read -r type; do
  printf '| %s | %s | %s | %s | %s |\n' "$type" "$(made_in "$type" tests/data/golden/*.prototxt)" \
    "$(made_in "$type" tests/opencv/layers_test.cpp)" \
    "$(made_in "$type" tests/export/layer_cases.cpp)" "$(made_in "$type" tests/layers/*.cpp)"
done
