#!/bin/sh
# usage: get_digits.sh DIR
# Puts digits.png into DIR: 5,000 handwritten digits on one sheet, which OpenCV ships with its
# documentation (Debian's opencv-doc; 96 MB are fetched once, 0.7 MB kept).
set -eu
dir=$1
[ -s "$dir/digits.png" ] && exit 0
mkdir -p "$dir"
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT
chmod 755 "$fetched"

echo "get_digits.sh: fetching Debian's opencv-doc for its digits.png"
(cd "$fetched" && apt-get -qq download opencv-doc) 2>"$fetched/log" || {
  cat "$fetched/log" >&2
  echo "get_digits.sh: opencv-doc cannot be fetched; run apt-get update, or put OpenCV's" \
    "samples/data/digits.png into $dir" >&2
  exit 1
}
dpkg-deb --fsys-tarfile "$fetched"/opencv-doc_*.deb |
  tar -xO ./usr/share/doc/opencv-doc/examples/data/digits.png >"$fetched/digits.png"
mv "$fetched/digits.png" "$dir/digits.png"
