#!/usr/bin/env python3
"""vibnet against PyTorch in training on a GPU: VGG-16-BN with bottlenecks, on CIFAR-10 from disk.

usage: gpu.py BUILD_FOLDER DATA_FOLDER [--device gpu|cpu] [--iterations N] [--rounds N] [--tf32]
              [--limit SECONDS]

BUILD_FOLDER is a build or an unpacked bundle (Build in README.md); DATA_FOLDER holds CIFAR-10's
data_batch_*.bin, or some of them. vibnet-train runs models/vgg16_cifar10 as it stands, LMDB and all;
torch_train.py the same net. They take turns, --rounds times; one that fails, or takes --limit seconds,
is left out and named. Prints the images a second of the second half of the iterations, and vibnet-time's
layers beside a floor: the longer of a layer's FLOPs (without --tf32 by Winograd's F(4 x 4)) and its
bytes, at the rates of a large product and a large copy. Needs what nets.py needs, and torch.
"""
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile

import checks
import layer_times
import nets
import tables

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = os.path.join(nets.SOURCE, "models", "vgg16_cifar10")
PEERS = {"PyTorch, eager": [], "PyTorch, eager, channels last": ["--channels_last"],
         "PyTorch, compiled": ["--compile", "default"],
         "PyTorch, compiled, CUDA graphs": ["--compile", "reduce-overhead"],
         "PyTorch, compiled, CUDA graphs, channels last": ["--compile", "reduce-overhead",
                                                           "--channels_last"]}
BATCH = 128
LINES = 10  # of a run's log


class Failed(Exception):
    pass


def find_cuda():
    """CUDA's libraries are the system's, or those that pip put beside PyTorch: as in tests/gpu.sh."""
    folders = glob.glob(os.path.join(sysconfig.get_path("purelib"), "nvidia", "*", "lib"))
    folders += ["/usr/local/cuda/lib64", os.environ.get("LD_LIBRARY_PATH", "")]
    os.environ["LD_LIBRARY_PATH"] = ":".join(folder for folder in folders if folder)


def last_error(text):
    """Of a traceback, behind which may stand advice."""
    lines = [line for line in text.strip().split("\n") if line and not line[0].isspace()]
    named = [line for line in lines if "Error" in line or line.startswith("torch_train.py:")]
    return (named or lines or ["no word"])[-1]


class Bench:
    def __init__(self, arguments, folder):
        self.arguments, self.folder, self.failures = arguments, folder, []
        self.workshop = nets.Workshop(arguments.build, folder)
        self.ours_flags = ["--device", arguments.device] + ["--tf32"] * arguments.tf32
        self.batches = sorted(glob.glob(os.path.join(arguments.data, "data_batch_*.bin")))
        if not self.batches:
            checks.end("DATA_FOLDER: %s holds no data_batch_*.bin" % arguments.data)

    def fail(self, name, failure):
        self.failures.append("%s: %s" % (name, failure))
        print("FAILED: " + self.failures[-1], file=sys.stderr, flush=True)

    def prepare(self):
        shutil.copy(os.path.join(MODEL, "train_val.prototxt"), self.folder)
        self.workshop.run("vibnet-convert-cifar", "cifar10_train.lmdb", *self.batches)
        net = nets.with_inputs("vgg16_cifar10", [BATCH, 3, 32, 32])
        weights = self.workshop.random_weights("inputs", net)
        self.parameters = nets.parameters(weights)
        nets.write_weights(weights, self.workshop.path("start.caffemodel"))

    def ours(self):
        """The log's last line is of the last iteration, LINES before it; there is no test net."""
        iterations = self.arguments.iterations
        fields = {"net": "train_val.prototxt", "max_iter": iterations + 1, "test_iter": "",
                  "display": iterations // LINES, "average_loss": iterations // LINES, "snapshot": 0,
                  "snapshot_after_train": "false", "test_interval": 0}
        flags = [word for field in fields.items() for word in ("--set", "%s=%s" % field)]
        self.workshop.run("vibnet-train", "--solver", os.path.join(MODEL, "solver.prototxt"),
                          "--weights", "start.caffemodel", "--log_dir", "log", *self.ours_flags, *flags)
        with open(self.workshop.path("log/log.jsonl")) as f:
            steps = [entry for entry in map(json.loads, f) if "loss" in entry]
        half, last = steps[LINES // 2], steps[LINES]
        return {"images_per_s": BATCH * (last["iteration"] - half["iteration"])
                                / (last["seconds"] - half["seconds"]), "objective": last["loss"]}

    def torch(self, *arguments):
        command = [sys.executable, os.path.join(HERE, "torch_train.py"), *arguments, "--device",
                   "cuda" if self.arguments.device == "gpu" else "cpu"]
        try:
            done = subprocess.run(command + ["--tf32"] * self.arguments.tf32, cwd=self.folder, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=self.arguments.limit)
        except subprocess.TimeoutExpired:
            raise Failed("took %g s" % self.arguments.limit) from None
        sys.stderr.write(done.stderr)
        if done.returncode != 0:
            raise Failed(last_error(done.stderr))
        return json.loads(done.stdout)

    def peer(self, flags):
        run = self.torch("inputs.prototxt", "start.caffemodel", *self.batches, "--batch", str(BATCH),
                         "--iterations", str(self.arguments.iterations), *flags)
        if run["parameters"] != self.parameters:
            raise Failed("trains %d parameters in place of %d" % (run["parameters"], self.parameters))
        return run

    def take_turns(self):
        """{who: its runs}, of those that ran."""
        contestants = {"vibnet": self.ours}
        for name, flags in PEERS.items():
            contestants[name] = lambda flags=flags: self.peer(flags)
        runs = {}
        for number in range(self.arguments.rounds):
            for name, run in list(contestants.items()):
                try:
                    result = run()
                except (Failed, SystemExit) as failure:  # SystemExit is a tool's
                    self.fail(name, failure)
                    del contestants[name]
                    continue
                runs.setdefault(name, []).append(result)
                print("round %d, %s: %.0f images/s" % (number + 1, name, result["images_per_s"]),
                      file=sys.stderr, flush=True)
        return runs

    def layers(self):
        """vibnet-time's layers beside the floor."""
        found = self.torch("rates")
        rates = 1e6 * found["gflops"], 1e6 * found["gb_per_s"]
        model = self.workshop.path("inputs.prototxt")
        report = layer_times.times(self.workshop, model, "train", BATCH, 20, *self.ours_flags)
        # Winograd's transforms have no place in a tensor core's product.
        savings = {} if self.arguments.tf32 else layer_times.winograd_savings(model)
        rows = layer_times.rows_of("VGG-16-BN, gated, %d" % BATCH, report, rates, savings)
        return ("On a GPU each layer's time has its launches and a wait in it, which training has not. "
                + layer_times.text_of(rates, rows))


def table_of(runs):
    median = {name: statistics.median(run["images_per_s"] for run in of_one)
              for name, of_one in runs.items()}
    rows = []
    for name, of_one in runs.items():
        rates = [run["images_per_s"] for run in of_one]
        times = "%.2f" % (median["vibnet"] / median[name]) if "vibnet" in median else ""
        rows.append([name, "%.0f" % median[name], "%.0f to %.0f" % (min(rates), max(rates)), times,
                     tables.number(1e3 * BATCH / median[name]), "%.3f" % of_one[-1]["objective"]])
    return tables.table(["", "images/s", "rounds", "vibnet's over it", "ms an iteration", "objective"], rows)


def parse():
    parser = checks.parser(__doc__)
    parser.add_argument("build", metavar="BUILD_FOLDER")
    parser.add_argument("data", metavar="DATA_FOLDER", type=os.path.abspath)
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu")
    parser.add_argument("--iterations", type=checks.count(2 * LINES), default=800)
    parser.add_argument("--rounds", type=checks.count(1), default=2)
    parser.add_argument("--limit", type=checks.seconds, default=None)
    parser.add_argument("--tf32", action="store_true")
    arguments = parser.parse_args()
    arguments.iterations -= arguments.iterations % (2 * LINES)
    checks.need_folder("DATA_FOLDER", arguments.data)
    checks.need_programs(nets.tools_of(arguments.build), "vibnet-convert-cifar", "vibnet-train",
                         "vibnet-time")
    return arguments


def main():
    arguments = parse()
    find_cuda()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, folder)
        bench.prepare()
        runs = bench.take_turns()
        versions = {run["version"] for name in PEERS for run in runs.get(name, [])}
        print("%d iterations of %d pictures, PyTorch %s%s\n\n%s\n"
              % (arguments.iterations, BATCH, ", ".join(versions), ", TF32" * arguments.tf32,
                 table_of(runs)), flush=True)
        try:
            print(bench.layers())
        except (Failed, SystemExit) as failure:
            bench.fail("layers", failure)
    if bench.failures:
        checks.end("; ".join(bench.failures))


if __name__ == "__main__":
    main()
