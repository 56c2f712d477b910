#!/usr/bin/env python3
"""Time and memory of vibnet-compress on VGG-16 for ImageNet, with random weights and set masks.

usage: compress_vgg16.py BUILD_FOLDER [SHARE_DROPPED [more flags of vibnet-compress...]]

Puts a bottleneck behind every ReLU of models/vgg16, masks that share of each one's units, compresses
the 138 million parameters, its check included, and prints what that took. Needs what nets.py needs.
"""
import multiprocessing
import os
import sys
import tempfile
import time

import checks
import nets


def write_masked(workshop, dropped, path):
    net = nets.with_gates(nets.with_inputs("vgg16", [1, 3, 224, 224]))
    weights = workshop.random_weights("vgg", net, steps=0)
    nets.keep_units(net, weights, 1 - dropped)
    nets.write_weights(weights, path)


def parse():
    parser = checks.parser(__doc__)
    parser.add_argument("build", metavar="BUILD_FOLDER")
    parser.add_argument("dropped", metavar="SHARE_DROPPED", nargs="?", type=checks.share,
                        default=0.3)
    checks.add_rest(parser, "flags", str)
    arguments = parser.parse_args()
    checks.need_programs(arguments.build, "tools/vibnet-train", "tools/vibnet-compress")
    return arguments


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory() as folder:
        workshop = nets.Workshop(arguments.build, folder)
        path = workshop.path("masked.caffemodel")
        # In a process of its own: Linux counts what the parent holds as the tool's until it starts.
        making = multiprocessing.Process(target=write_masked,
                                         args=(workshop, arguments.dropped, path))
        making.start()
        making.join()
        if making.exitcode != 0:
            sys.exit(1)
        begin = time.time()
        output, peak = workshop.run(
            "vibnet-compress", "--model", "vgg.prototxt", "--weights", path, "--out_model",
            "small.prototxt", "--out_weights", "small.caffemodel", *arguments.flags)
        seconds = time.time() - begin
        print(output)
        size = os.path.getsize(path)
        print("caffemodel: %.0f MB; %.1f s; peak memory %.0f MB, %.2f times the model"
              % (size / 1e6, seconds, peak / 1e6, peak / size))


if __name__ == "__main__":
    main()
