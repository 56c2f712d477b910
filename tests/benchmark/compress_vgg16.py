#!/usr/bin/env python3
"""Time and memory of vibnet-compress on VGG-16 for ImageNet, with random weights and masks.

usage: compress_vgg16.py BUILD_FOLDER [SHARE_DROPPED]

Puts a bottleneck behind every ReLU of models/vgg16, fills weights and masks at random, compresses
the 138 million parameters, its check included, and prints what that took.
"""
import os
import re
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DATA = """
layer { name: "data" type: "DummyData" top: "data" dummy_data_param {
  shape { dim: 1 dim: 3 dim: 224 dim: 224 } data_filler { type: "gaussian" } } }
layer { name: "label" type: "DummyData" top: "label" dummy_data_param { shape { dim: 1 } } }
"""


def with_bottlenecks(prototxt, dropped):
    """A gate in place of each name that a ReLU works on, dropping that share of its units."""
    layers = re.split(r"(?m)^(?=layer \{)", prototxt)[1:]
    text = DATA
    renamed = {}
    for layer in layers:
        if '"Data"' in layer:
            continue
        for old, new in renamed.items():
            layer = re.sub('(bottom|top): "%s"' % old, r'\1: "%s"' % new, layer)
        text += layer
        relu = re.search(r'type: "ReLU" bottom: "(\w+)"', layer)
        if relu is None:
            continue
        blob = relu.group(1)
        # mu is about 1: what is drawn above 0 goes.
        high = 9 * dropped / (1 - dropped)
        text += (
            'layer { name: "ib_%s" type: "InformationBottleneck" bottom: "%s" top: "ib_%s" '
            "information_bottleneck_param { log_sigma2_filler { type: \"uniform\" min: -9 "
            "max: %g } } }\n" % (blob, blob, blob, high)
        )
        renamed[blob] = "ib_" + blob
    return text


def main():
    build = os.path.abspath(sys.argv[1])
    dropped = float(sys.argv[2]) if len(sys.argv) > 2 else 0.3
    with open(os.path.join(SOURCE, "models", "vgg16", "train_val.prototxt")) as f:
        model = with_bottlenecks(f.read(), dropped)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "net.prototxt"), "w") as f:
            f.write(model)
        with open(os.path.join(folder, "solver.prototxt"), "w") as f:
            f.write('net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 0 '
                    'random_seed: 1 snapshot_prefix: "vgg"\n')
        tool = lambda name: os.path.join(build, "tools", name)
        subprocess.run([tool("vibnet-train"), "--solver", "solver.prototxt"], cwd=folder,
                       check=True)
        weights = os.path.join(folder, "vgg_iter_0.caffemodel")
        begin = time.time()
        process = subprocess.Popen(
            [tool("vibnet-compress"), "--model", "net.prototxt", "--weights", weights,
             "--out_model", "small.prototxt", "--out_weights", "small.caffemodel"],
            cwd=folder, stdout=subprocess.PIPE, text=True)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.time() - begin
        print(output)
        if status != 0:
            sys.exit("vibnet-compress failed")
        size = os.path.getsize(weights)
        print("caffemodel: %.0f MB; %.1f s; peak memory %.0f MB, %.2f times the model"
              % (size / 1e6, seconds, usage.ru_maxrss / 1e3, usage.ru_maxrss * 1024 / size))


if __name__ == "__main__":
    main()
