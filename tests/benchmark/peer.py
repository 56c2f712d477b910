#!/usr/bin/env python3
"""Times a net in another framework, in one process, for run.py: step_time.cpp for the peers.

usage: peer.py torch train|infer NET.prototxt WEIGHTS.caffemodel SECONDS DATA SCORES
       peer.py onnxruntime infer NET.onnx - SECONDS DATA SCORES
       peer.py opencv infer NET.prototxt WEIGHTS.caffemodel SECONDS DATA SCORES
       peer.py torch gemm

Prints the JSON object that step_time prints, less the FLOPs, and with the framework's version. DATA
is a .npz with `data`, and `label` for training. Needs the framework, and nets.py's packages for torch.
"""
import json
import os
import time
import zipfile

import checks

try:
    import numpy as np
except ImportError as error:
    checks.missing(error)

CORES = len(os.sched_getaffinity(0))
WARM_UP = 3
LEAST_PASSES = 3
RATE, MOMENTUM, DECAY, KL_WEIGHT = 0.0003, 0.9, 0.0005, 1e-6  # as in step_time.cpp


def time_passes(seconds, run):
    for _ in range(WARM_UP):
        run()
    times = []
    while sum(times) < 1e3 * seconds or len(times) < LEAST_PASSES:
        begin = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - begin))
    return times


def peak_kb():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))


class Torch:
    def __init__(self):
        import torch
        import torch_net
        self.torch, self.torch_net, self.version = torch, torch_net, torch.__version__
        torch.set_num_threads(CORES)

    def gemm(self):
        """Best GFLOP/s of a large product."""
        size = 2048
        a = self.torch.full((size, size), 0.5)
        return 2e-6 * size ** 3 / min(time_passes(1, lambda: self.torch.mm(a, a)))

    def infer(self, model, weights, values):
        net, _ = self.torch_net.load(model, weights)
        net.eval()
        data = self.torch.from_numpy(values["data"])

        def run():
            with self.torch.inference_mode():
                return net(data).numpy()
        return run

    def train(self, model, weights, values):
        """A step; it returns the loss."""
        net, specs = self.torch_net.load(model, weights)
        net.train()
        data = self.torch.from_numpy(values["data"])
        label = self.torch.from_numpy(values["label"].astype(np.int64))
        loss_of = self.torch.nn.CrossEntropyLoss()
        gates = [module for module in net.modules()
                 if isinstance(module, self.torch_net.InformationBottleneck)]
        self.parameters = sum(parameter.numel() for parameter in net.parameters())
        optimizer = self.torch.optim.SGD(self.groups(net, specs), lr=RATE, momentum=MOMENTUM)

        def run():
            optimizer.zero_grad()
            loss = loss_of(net(data).flatten(1), label)
            for gate in gates:
                loss = loss + KL_WEIGHT * gate.kl
            loss.backward()
            optimizer.step()
            return loss.item()
        return run

    @staticmethod
    def groups(net, specs):
        groups = {}
        for parameter in net.parameters():
            groups.setdefault(specs[parameter], []).append(parameter)
        return [{"params": parameters, "lr": RATE * lr, "weight_decay": DECAY * decay}
                for (lr, decay), parameters in groups.items()]


class Onnxruntime:
    def __init__(self):
        import onnxruntime
        self.onnxruntime, self.version = onnxruntime, onnxruntime.__version__

    def infer(self, model, _, values):
        options = self.onnxruntime.SessionOptions()
        options.intra_op_num_threads = CORES
        try:
            session = self.onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own have no other base
            checks.end("%s cannot be read as an ONNX net: %s" % (model, " ".join(str(error).split())))
        feed = {session.get_inputs()[0].name: values["data"]}
        output = session.get_outputs()[0].name
        return lambda: session.run([output], feed)[0]


class Opencv:
    def __init__(self):
        import cv2
        self.cv2, self.version = cv2, cv2.__version__
        cv2.setNumThreads(CORES)

    def infer(self, model, weights, values):
        try:
            net = self.cv2.dnn.readNetFromCaffe(model, weights)
        except (AttributeError, self.cv2.error) as error:  # OpenCV 5 has no such function
            checks.end("OpenCV cannot read %s with %s: %s"
                       % (model, weights, " ".join(str(error).split())))
        data = values["data"]

        def run():
            net.setInput(data)
            return net.forward()
        return run


FRAMEWORKS = {"torch": Torch, "onnxruntime": Onnxruntime, "opencv": Opencv}
FILES = ("net", "weights", "seconds", "data", "scores")


def read_values(path, names):
    try:
        values = dict(np.load(path))
    except (OSError, EOFError, TypeError, ValueError, zipfile.BadZipFile):
        values = {}
    if not all(name in values for name in names):
        checks.end("DATA: %s must be a .npz with %s" % (path, " and ".join(names)))
    return values


def parse():
    parser = checks.parser(__doc__)
    parser.add_argument("framework", choices=FRAMEWORKS)
    parser.add_argument("mode", choices=["train", "infer", "gemm"])
    for name in FILES:
        parser.add_argument(name, metavar=name.upper(), nargs="?",
                            type=checks.seconds if name == "seconds" else str)
    arguments = parser.parse_args()
    given = [name for name in FILES if getattr(arguments, name) is not None]
    if len(given) != (0 if arguments.mode == "gemm" else len(FILES)):
        parser.error("gemm takes no files, train and infer take NET, WEIGHTS, SECONDS, DATA and SCORES")
    if not hasattr(FRAMEWORKS[arguments.framework], arguments.mode):
        parser.error("%s only infers here" % arguments.framework)
    if given:
        checks.need_file("NET", arguments.net)
        if arguments.framework != "onnxruntime":
            checks.need_file("WEIGHTS", arguments.weights)
        if arguments.mode == "infer":
            checks.need_writable("SCORES", arguments.scores)
    return arguments


def main():
    arguments = parse()
    mode = arguments.mode
    try:
        peer = FRAMEWORKS[arguments.framework]()
    except ImportError as error:
        checks.missing(error)
    if mode == "gemm":
        print(json.dumps({"gflops": peer.gemm()}))
        return
    values = read_values(arguments.data, ["data", "label"] if mode == "train" else ["data"])
    before = peak_kb()
    run = getattr(peer, mode)(arguments.net, arguments.weights, values)
    losses = [run() for _ in range(WARM_UP)] if mode == "train" else []
    ms = time_passes(arguments.seconds, run)
    result = {"ms": ms, "losses": losses, "before_kb": before, "peak_kb": peak_kb(),
              "version": peer.version}
    if mode == "infer":
        run().astype(np.float32).tofile(arguments.scores)
    else:
        result["parameters"] = peer.parameters
    print(json.dumps(result))


if __name__ == "__main__":
    main()
