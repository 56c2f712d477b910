#!/usr/bin/env python3
"""What compression gains in time: models/vgg16_cifar10, dense against compressed, batch 1 and 64.

usage: compressed_speed.py BUILD_FOLDER [SHARE_DROPPED...]

Drops random channels at every bottleneck (weights are random too: time does not hang on them),
compresses, and times the dense net without bottlenecks and the compressed one in turns with
vibnet-time. Prints the cut of FLOPs, the speed-up, and the second over the first. Both nets have
their BatchNorm folded, by vibnet-compress --fold_batchnorm.
"""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MODEL = os.path.join(SOURCE, "models", "vgg16_cifar10")
ROUNDS = 5
DATA = """
layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 1 dim: 3 dim: 32 dim: 32 } shape { dim: 1 }
  data_filler { type: "gaussian" } data_filler { value: 0 } } }
"""


def prototxt(name, dropped=0.0):
    """The model on random data; of each bottleneck's units about that share is to go."""
    with open(os.path.join(MODEL, name)) as f:
        layers = re.split(r"(?m)^(?=layer \{)", f.read())[1:]
    high = 9 * dropped / (1 - dropped)
    # mu is about 1: what is drawn above 0 goes.
    noise = 'log_sigma2_filler { type: "uniform" min: -9 max: %g }' % high
    kept = [layer for layer in layers if '"Data"' not in layer]
    return DATA + re.sub(r"information_bottleneck_param \{", r"\g<0> " + noise, "".join(kept))


class Bench:
    def __init__(self, build, folder):
        self.build, self.folder = build, folder

    def run(self, tool, *arguments):
        command = [os.path.join(self.build, "tools", tool), *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True).stdout

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as f:
            f.write(text)

    def compress(self, name, text):
        """Writes NAME_small.deploy.prototxt; returns the report."""
        self.write(name + ".prototxt", text)
        self.write("solver.prototxt",
                   'net: "%s.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 0 random_seed: 1 '
                   'snapshot_prefix: "%s"\n' % (name, name))
        self.run("vibnet-train", "--solver", "solver.prototxt")
        self.run("vibnet-compress", "--model", name + ".prototxt", "--weights",
                 name + "_iter_0.caffemodel", "--out_model", name + "_small.prototxt",
                 "--out_weights", name + "_small.caffemodel", "--report", name + ".json",
                 "--fold_batchnorm")
        with open(os.path.join(self.folder, name + ".json")) as f:
            return json.load(f)

    def milliseconds(self, name, batch, iterations):
        output = self.run("vibnet-time", "--model", name + "_small.deploy.prototxt", "--batch",
                          str(batch), "--iterations", str(iterations), "--json")
        return json.loads(output)["forward_ms"]

    def compare(self, dropped):
        report = self.compress("cut", prototxt("train_val.prototxt", dropped))
        cut = report["before"]["flops"] / report["after"]["flops"]
        for batch, iterations in ((1, 100), (64, 5)):
            dense, small = [], []
            for _ in range(ROUNDS):
                dense.append(self.milliseconds("dense", batch, iterations))
                small.append(self.milliseconds("cut", batch, iterations))
            speedup = statistics.median(dense) / statistics.median(small)
            print("%5.1f %% of the FLOPs cut, batch %2d: dense %.2f ms, compressed %.2f ms; "
                  "FLOPs / %.2f, time / %.2f, ratio %.2f"
                  % (100 - 100 / cut, batch, statistics.median(dense), statistics.median(small),
                     cut, speedup, speedup / cut), flush=True)


def main():
    shares = [float(share) for share in sys.argv[2:]] or [0.45, 0.6, 0.75]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(os.path.abspath(sys.argv[1]), folder)
        bench.compress("dense", prototxt("plain.prototxt"))
        for share in shares:
            bench.compare(share)


if __name__ == "__main__":
    main()
