# For run.sh and criteria.sh, which set root, data, model and out: builds the tools and puts them on the
# PATH, and goes to $out with the model's prototxts and MNIST as LMDBs.
tools/setup.sh
cmake --preset release >/dev/null
cmake --build --preset release --target tools
PATH=$root/build/release/tools:$PATH

mkdir -p "$out"
cd "$out"
cp "$root/models/$model"/*.prototxt .
convert() {
  [ -d "$3" ] || vibnet-convert-mnist "$data/$1" "$data/$2" "$3"
}
convert train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz mnist_train.lmdb
convert t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz mnist_test.lmdb

# The error that a vibnet-test of the file printed, and a number of what vibnet-compress left.
error() { awk '$1 == "accuracy" { printf "%.2f %%", 100 * (1 - $3) }' "$1"; }
count() { sed -n "s/.*\"after\": {.*\"$1\": \([0-9]*\).*/\1/p" small.json; }
