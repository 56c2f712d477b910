#!/usr/bin/env python3
"""vibnet against PyTorch, onnxruntime and OpenCV's dnn: time and memory, as tables in Markdown.

See README.md beside this file. Needs a Python with numpy, protobuf, torch, onnxruntime and
opencv-python-headless<5 (5 reads no Caffe nets), and protoc. Measures only on an idle machine.

example: tests/benchmark/run.py --out build/benchmark.md
         tests/benchmark/run.py --nets lenet5 --quick
"""
import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import checks
import nets
import tables

try:
    import numpy as np
except ImportError as error:
    checks.missing(error)

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = "vibnet"
PEERS = {"torch": "torch", "onnxruntime": "onnxruntime", "opencv": "cv2"}  # and their modules
VARIANTS = ["dense", "gated", "compressed"]
PROGRAMS = ["tests/step_time", "tools/vibnet-train", "tools/vibnet-compress", "tools/vibnet-export",
            "tools/vibnet-test"]
TOLERANCE = 1e-3
UNEVEN = 1.3  # rounds that differ by more are named
CORES = len(os.sched_getaffinity(0))


class Bench:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.build = os.path.abspath(arguments.build)
        self.versions, self.rows, self.failures, self.uneven = {}, [], [], []

    def say(self, *words):
        print(*words, file=sys.stderr, flush=True)

    def fail(self, message):
        """The run goes on, says so above its tables, and exits 1."""
        self.say("FAILED: " + message)
        self.failures.append(message)

    def process(self, *command):
        """What a process of its own printed, as JSON."""
        environment = dict(os.environ, OMP_NUM_THREADS=str(CORES), GLOG_minloglevel="1")
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=environment)
        if done.returncode != 0:
            sys.exit("failed: %s\n%s" % (" ".join(command), done.stderr[-3000:]))
        return json.loads(done.stdout)

    def ours(self, *arguments):
        return self.process(os.path.join(self.build, "tests", "step_time"), *arguments)

    def peer(self, name, *arguments):
        return self.process(sys.executable, os.path.join(HERE, "peer.py"), name, *arguments)

    def gemm(self):
        """The better of OpenBLAS, as the library links it, and PyTorch's."""
        result = {"OpenBLAS": self.ours("gemm")["gflops"]}
        if "torch" in self.arguments.peers:
            result["PyTorch"] = self.peer("torch", "gemm")["gflops"]
        return result

    def write_inputs(self, model, stem):
        """Random values of the shapes of the net's Input layers: STEM.bin for us, .npz for peers."""
        random = np.random.default_rng(1)
        values = {}
        for layer in nets.read_prototxt(model).layer:
            if layer.type == "Input":
                shape = list(layer.input_param.shape[0].dim)
                values[layer.top[0]] = (random.standard_normal(shape).astype(np.float32)
                                        if layer.top[0] != "label"
                                        else random.integers(0, 10, shape).astype(np.float32))
        with open(stem + ".bin", "wb") as f:
            for value in values.values():
                value.tofile(f)
        np.savez(stem + ".npz", **values)

    def check(self, row, commands, rounds):
        """The peers compute what we do: the scores, or the losses of three steps."""
        results = {name: runs[0] for name, runs in rounds.items()}
        scores = {name: np.fromfile(arguments[-1], np.float32)
                  for name, arguments in commands.items() if row["mode"] == "infer"}
        mine = np.array(scores[OURS] if row["mode"] == "infer" else results[OURS]["losses"])
        for name in results:
            theirs = np.array(scores[name] if row["mode"] == "infer" else results[name]["losses"])
            difference = float(np.abs(mine - theirs).max() / np.abs(mine).max())
            if not difference <= TOLERANCE:
                self.fail("%s: %s computes something else: %s in place of %s" %
                          (row["name"], name, theirs[:8], mine[:8]))
            if results[name].get("parameters", row["parameters"]) != row["parameters"]:
                self.fail("%s: %s trains %d parameters in place of %d" %
                          (row["name"], name, results[name]["parameters"], row["parameters"]))
            row["difference"] = max(row.get("difference", 0), difference)

    def files(self, variant, mode):
        return self.workshop.path("%s.%s" % (variant, mode))

    def commands(self, variant, mode, batch):
        """{who: arguments} of the contestants in this measurement."""
        files = self.files(variant, mode)
        stem = files + ".now"
        model, weights = stem + ".prototxt", files + ".caffemodel"
        nets.write_prototxt(nets.with_batch(nets.read_prototxt(files + ".prototxt"), batch), model)
        self.write_inputs(model, stem)
        seconds = str(self.arguments.seconds)
        out = lambda name: "%s.%s.scores" % (files, name)
        result = {OURS: [mode, model, weights, seconds, stem + ".bin", out(OURS)]}
        for name in self.arguments.peers:
            if mode == "train" and name != "torch":
                continue
            if variant == "gated" and name == "opencv":
                continue  # it has no such layer
            net = [model, weights]
            if name == "onnxruntime":
                net = [files + ".onnx", "-"]
                if not os.path.exists(net[0]):
                    self.workshop.run("vibnet-export", "--model", files + ".prototxt", "--weights",
                                      weights, "--format", "onnx", "--out", net[0])
            result[name] = [mode, *net, seconds, stem + ".npz", out(name)]
        return result

    def new_row(self, case, variant, mode, batch):
        weights = self.files(variant, mode) + ".caffemodel"
        return {"net": case.title, "variant": variant, "mode": mode, "batch": batch,
                "name": "%s, %s, %s at batch %d" % (case.title, variant, mode, batch),
                "parameters": nets.parameters(nets.read_weights(weights))}

    def measure(self, case, mode, batch):
        """All variants in turns, so that a machine's slow minutes are not one variant's."""
        variants = self.arguments.variants
        rows = {variant: self.new_row(case, variant, mode, batch) for variant in variants}
        commands = {variant: self.commands(variant, mode, batch) for variant in variants}
        rounds = {variant: {name: [] for name in commands[variant]} for variant in variants}
        for number in range(self.arguments.rounds):
            for variant in variants:
                self.say(rows[variant]["name"], "round %d" % (number + 1))
                self.take_turn(commands[variant], rounds[variant])
                if number == 0:
                    self.check(rows[variant], commands[variant], rounds[variant])
        for variant, row in rows.items():
            self.fill(row, rounds[variant])
        self.rows.extend(rows.values())

    def take_turn(self, commands, runs):
        for name, arguments in commands.items():
            run = self.ours if name == OURS else lambda *a: self.peer(name, *a)
            runs[name].append(run(*arguments))

    def fill(self, row, rounds):
        row["flops"] = rounds[OURS][0]["flops"]
        for name, runs in rounds.items():
            self.versions.setdefault(name, runs[0].get("version"))
            medians = [statistics.median(run["ms"]) for run in runs]
            if max(medians) > UNEVEN * min(medians):
                self.uneven.append("%s, %s %.2f" % (row["name"], tables.NAMES[name],
                                                    max(medians) / min(medians)))
            row[name] = {"ms": statistics.median(medians), "rounds_ms": medians,
                         "peak_mb": max(run["peak_kb"] for run in runs) / 1024,
                         "before_mb": max(run["before_kb"] for run in runs) / 1024}

    def measure_net(self, key):
        case = nets.CASES[key]
        folder = os.path.join(self.folder, key)
        os.mkdir(folder)
        self.workshop = nets.Workshop(self.build, folder)
        self.say(case.title + ": making the nets")
        report = case.build(self.workshop)
        for mode in self.arguments.modes:
            for batch in case.train if mode == "train" else case.infer:
                self.measure(case, mode, batch)
        return report

    def start_up(self):
        """Milliseconds of whole vibnet-test runs: LeNet-5, one picture of an LMDB."""
        folder = os.path.join(self.folder, "start_up")
        os.mkdir(folder)
        workshop = nets.Workshop(self.build, folder)
        data = os.path.join(nets.SOURCE, "tests", "data", "caffe", "t10k_first500.lmdb")
        net = nets.without_gates(nets.with_inputs("lenet5", [1, 1, 28, 28]))
        nets.write_weights(workshop.random_weights("lenet5", net), workshop.path("w.caffemodel"))
        del net.layer[:2]
        first = nets.Layer(name="data", type="Data", top=["data", "label"])
        first.data_param.source, first.data_param.batch_size = data, 1
        first.data_param.backend = 1
        net.layer.insert(0, first)
        nets.write_prototxt(net, workshop.path("net.prototxt"))
        times = []
        for _ in range(4 * self.arguments.rounds):
            begin = time.perf_counter()
            workshop.run("vibnet-test", "--model", "net.prototxt", "--weights", "w.caffemodel",
                         "--iterations", "1")
            times.append(1e3 * (time.perf_counter() - begin))
        return statistics.median(times)

    def linked(self):
        """What the library names itself, what of that it does not use, and how many ldd lists."""
        library = os.path.join(self.build, "src", "libvibnet.so")
        text = lambda *command: subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout
        needed = [line.split("[")[1].rstrip("]") for line in text("readelf", "-d", library).split("\n")
                  if "(NEEDED)" in line]
        unused = [os.path.basename(line.strip()) for line in text("ldd", "-u", library).split("\n")
                  if "/" in line]
        return {"needed": needed, "unused": unused,
                "all": len(text("ldd", library).strip().split("\n"))}

    def run(self):
        result = {"command": " ".join(["tests/benchmark/run.py"] + sys.argv[1:]),
                  "quick": self.arguments.quick, "rounds": self.arguments.rounds,
                  "seconds": self.arguments.seconds, "machine": tables.machine(CORES),
                  "date": time.strftime("%Y-%m-%d"), "gemm": self.gemm(), "reports": {},
                  "start_up_ms": self.start_up(), "linked": self.linked()}
        for key in self.arguments.nets:
            result["reports"][nets.CASES[key].title] = dict(self.measure_net(key),
                                                            shape=nets.CASES[key].shape)
        result.update(rows=self.rows, failures=self.failures, uneven=self.uneven,
                      gemm_behind=self.gemm(),
                      versions={name: self.versions.get(name) for name in self.arguments.peers})
        return result


def chosen(names, known):
    unknown = set(names.split(",")) - set(known)
    if unknown:
        raise argparse.ArgumentTypeError("%s; there are %s" % (",".join(unknown), ",".join(known)))
    return list(dict.fromkeys(names.split(",")))  # each once


def json_beside(out):
    return os.path.splitext(out)[0] + ".json"


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag, known in (("nets", list(nets.CASES)), ("peers", list(PEERS)), ("variants", VARIANTS),
                        ("modes", ["train", "infer"])):
        parser.add_argument("--" + flag, default=list(known), metavar="A,B,...",
                            type=lambda names, known=known: chosen(names, known),
                            help="of %s (all)" % ",".join(known))
    parser.add_argument("--build", default=os.path.join(nets.SOURCE, "build", "release"))
    parser.add_argument("--rounds", type=checks.count(1), default=5, help="turns of each contestant (5)")
    parser.add_argument("--seconds", type=checks.seconds, default=1, help="timed in each turn (1)")
    parser.add_argument("--quick", action="store_true", help="1 round of 0.1 seconds, to try it")
    parser.add_argument("--out", help="file for the tables, beside NAME.json; else they are printed")
    arguments = parser.parse_args()
    checks.need_programs(arguments.build, *PROGRAMS)
    for name in arguments.peers:
        if importlib.util.find_spec(PEERS[name]) is None:
            checks.missing("--peers: %s has no module %s" % (name, PEERS[name]))
    if arguments.out is not None:
        if os.path.splitext(arguments.out)[1] == ".json":
            checks.end("--out: %s is what the JSON beside the tables is called; name them NAME.md"
                       % arguments.out)
        checks.need_writable("--out", arguments.out)
        checks.need_writable("--out", json_beside(arguments.out))
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, 0.1
    return arguments


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory() as folder:
        result = Bench(arguments, folder).run()
    text = tables.markdown(result)
    if arguments.out is None:
        print(text)
    else:
        with open(arguments.out, "w") as f:
            f.write(text)
        with open(json_beside(arguments.out), "w") as f:
            json.dump(result, f, indent=1)
    sys.exit(1 if result["failures"] else 0)


if __name__ == "__main__":
    main()
