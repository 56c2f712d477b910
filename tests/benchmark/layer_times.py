#!/usr/bin/env python3
"""Where a net's time goes, beside the least that it could take at this machine's rates.

For each net, as the benchmark makes it: vibnet-time's milliseconds by kind of layer, beside a floor: the
longer of its FLOPs at the rate of a large matrix product (the better of OpenBLAS's and, where torch
is there, PyTorch's), and its bytes, each blob read or written once, at the rate of a large copy. A
convolution with a stride of 1 has the FLOPs of Winograd's F(4 x 4), its transforms for nothing. What
finds its bytes in a cache can be below the floor.
Needs what run.py needs but for the peers, and an idle machine.

example: tests/benchmark/layer_times.py --nets lenet5,resnet20 --variants dense,gated --mode train
"""
import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

import checks
import nets
import tables
from run import VARIANTS, chosen

HERE = os.path.dirname(os.path.abspath(__file__))
CORES = len(os.sched_getaffinity(0))
KINDS = {
    "convolution": ("Convolution", "Deconvolution", "DepthwiseConvolution"),
    "inner product": ("InnerProduct",),
    "BatchNorm, and what runs with it": ("BatchNorm",),
    "ReLU and bottleneck": ("ReLU", "InformationBottleneck", "Scale"),
    "pooling": ("Pooling",),
    "sums of branches": ("Eltwise", "Split"),
}
OTHERS = "others"


def printed(*command):
    environment = dict(os.environ, OMP_NUM_THREADS=str(CORES), GLOG_minloglevel="1")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environment)
    if done.returncode != 0:
        sys.exit("failed: %s\n%s" % (" ".join(command), done.stderr[-3000:]))
    return json.loads(done.stdout)


def machine_rates(build):
    """FLOPs and bytes a millisecond."""
    step_time = os.path.join(build, "tests", "step_time")
    gflops = [printed(step_time, "gemm")["gflops"]]
    if importlib.util.find_spec("torch"):
        gflops.append(printed(sys.executable, os.path.join(HERE, "peer.py"), "torch", "gemm")["gflops"])
    return 1e6 * max(gflops), 1e6 * printed(step_time, "copy")["gb_per_s"]


def kind_of(layer):
    return next((kind for kind, types in KINDS.items() if layer["type"] in types), OTHERS)


def winograd_savings(model):
    """{convolution: by how much F(4 x 4) divides its multiplications}"""
    savings = {}
    for layer in nets.read_prototxt(model).layer:
        parameter = layer.convolution_param
        if layer.type in KINDS["convolution"] and all(s == 1 for s in nets.pair(parameter, "stride", 1)):
            height, width = nets.pair(parameter, "kernel_size", 1)
            savings[layer.name] = 16 * height * width / ((height + 3) * (width + 3))
    return savings


def by_kind(layers, rates, savings):
    """{kind: [milliseconds, FLOPs by the definition, the floor's milliseconds]}"""
    flop_rate, byte_rate = rates
    result = {}
    for layer in layers:
        row = result.setdefault(kind_of(layer), [0, 0, 0])
        for way in ("forward", "backward"):
            flops, moved = layer[way + "_flops"], layer[way + "_bytes"]
            row[0] += layer[way + "_ms"]
            row[1] += flops
            row[2] += max(flops / savings.get(layer["name"], 1) / flop_rate, moved / byte_rate)
    return result


def rows_of(title, report, rates, savings):
    kinds = by_kind([layer for layer in report["layers"] if "with" not in layer], rates, savings)
    whole = report["forward_backward_ms"]
    kinds["all"] = [whole] + [sum(row[i] for row in kinds.values()) for i in (1, 2)]
    rows = []
    for kind in [*KINDS, OTHERS, "all"]:
        ms, flops, floor = kinds.get(kind, (0, 0, 0))
        if ms < 0.005 * whole:
            continue
        rows.append([title, kind, tables.number(ms), "%.0f %%" % (100 * ms / whole),
                     tables.number(flops / ms / 1e6) if flops > 0 else "", tables.number(floor),
                     "%.2f" % (ms / floor) if floor > 0 else ""])
        title = ""
    return rows


def times(workshop, model, mode, batch, iterations, *flags):
    """vibnet-time's report."""
    return printed(workshop.tool("vibnet-time"), "--model", model, "--json", "--batch", str(batch),
                   "--phase", "TRAIN" if mode == "train" else "TEST", "--iterations", str(iterations),
                   *flags)


def text_of(rates, rows):
    header = ["net, variant, batch", "layers", "ms", "of all", "GFLOP/s", "floor, ms", "over it"]
    return ("Large products: %.0f GFLOP/s; copies: %.0f GB/s, read and written.\n\n%s"
            % (rates[0] / 1e6, rates[1] / 1e6, tables.table(header, rows)))


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag, known, default in (("nets", list(nets.CASES), list(nets.CASES)),
                                 ("variants", VARIANTS, ["dense"])):
        parser.add_argument("--" + flag, default=default, metavar="A,B,...",
                            type=lambda names, known=known: chosen(names, known),
                            help="of %s (%s)" % (",".join(known), ",".join(default)))
    parser.add_argument("--mode", choices=["train", "infer"], default="train")
    parser.add_argument("--build", default=os.path.join(nets.SOURCE, "build", "release"))
    parser.add_argument("--iterations", type=checks.count(1), default=30)
    arguments = parser.parse_args()
    checks.need_programs(arguments.build, "tests/step_time", "tools/vibnet-train",
                         "tools/vibnet-compress", "tools/vibnet-time")
    return arguments


def main():
    arguments = parse()
    rates = machine_rates(os.path.abspath(arguments.build))
    rows = []
    for name in arguments.nets:
        case = nets.CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            workshop = nets.Workshop(arguments.build, folder)
            case.build(workshop)
            for variant in arguments.variants:
                model = workshop.path("%s.%s.prototxt" % (variant, arguments.mode))
                for batch in getattr(case, arguments.mode):
                    report = times(workshop, model, arguments.mode, batch, arguments.iterations)
                    rows += rows_of("%s, %s, %d" % (case.title, variant, batch), report, rates,
                                    winograd_savings(model))
    print(text_of(rates, rows))


if __name__ == "__main__":
    main()
