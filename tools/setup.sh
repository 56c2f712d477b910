#!/bin/sh
# Installs what vibnet is built with on Debian or Ubuntu; does nothing when all is there.
set -eu

packages="g++ cmake ninja-build ccache protobuf-compiler libprotobuf-dev libopenblas-openmp-dev
  libgoogle-glog-dev libgflags-dev liblmdb-dev libhdf5-dev librandom123-dev zlib1g-dev
  libopencv-imgcodecs-dev libopencv-imgproc-dev libopencv-dnn-dev libonnx-dev libgtest-dev
  libgmock-dev libopenmpi-dev openmpi-bin python3-venv"

missing=""
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
    missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=""
[ "$(id -u)" = 0 ] || as_root=sudo
echo "setup.sh: installing$missing"
$as_root apt-get update
$as_root env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y --no-install-recommends $missing
