#!/bin/sh
# usage: get_mnist.sh DIR
# Fetches the four files of MNIST into DIR and checks them.
set -eu
dir=${1:?usage: get_mnist.sh DIR}
mkdir -p "$dir"
cd "$dir"
mirror=${MNIST_MIRROR:-https://ossci-datasets.s3.amazonaws.com/mnist}

fetch() {
  if [ ! -s "$1" ]; then
    if command -v curl >/dev/null; then
      curl -fsSL -o "$1.part" "$mirror/$1"
    else
      wget -q -O "$1.part" "$mirror/$1"
    fi || { echo "get_mnist.sh: $mirror/$1 cannot be fetched; set MNIST_MIRROR" >&2; exit 1; }
    mv "$1.part" "$1"
  fi
  sum=$(gzip -dc "$1" | md5sum | cut -d' ' -f1)
  [ "$sum" = "$2" ] || { echo "get_mnist.sh: $dir/$1 is not the published file" >&2; exit 1; }
}

fetch train-images-idx3-ubyte.gz 6bbc9ace898e44ae57da46a324031adb
fetch train-labels-idx1-ubyte.gz a25bea736e30d166cdddb491f175f624
fetch t10k-images-idx3-ubyte.gz 2646ac647ad5339dbf082846283269ea
fetch t10k-labels-idx1-ubyte.gz 27ae3e4e09519cfbb04c329615203637
