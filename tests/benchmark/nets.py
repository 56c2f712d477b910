"""The nets of the benchmark: made from models/, gated, masked and compressed, as files.

Needs protoc (or Python's grpcio-tools) and Python's numpy and protobuf. Nothing here measures.
"""
import glob
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile

import checks

try:
    import numpy as np
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
    from google.protobuf.message import DecodeError
except ImportError as error:
    checks.missing(error)

SOURCE = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
GATE = "InformationBottleneck"
WEIGHTED = ("Convolution", "InnerProduct")
# So small that training nets with the same weights has the same losses wherever the noise is drawn.
KEPT_LOG_SIGMA2, DEAD_LOG_SIGMA2 = -30, 10


def _messages():
    if shutil.which("protoc"):
        protoc = ["protoc"]
    elif importlib.util.find_spec("grpc_tools"):
        protoc = [sys.executable, "-m", "grpc_tools.protoc"]
    else:
        checks.end("protoc is not there; install protobuf's compiler, or pip's grpcio-tools")
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "schema")
        proto = os.path.join(SOURCE, "proto")
        subprocess.run([*protoc, "-I", proto, "-o", out, os.path.join(proto, "vibnet.proto")],
                       check=True)
        with open(out, "rb") as f:
            files = descriptor_pb2.FileDescriptorSet.FromString(f.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    name = lambda message: pool.FindMessageTypeByName("vibnet." + message)
    return [message_factory.GetMessageClass(name(message))
            for message in ("NetParameter", "LayerParameter")]


Net, Layer = _messages()


def read_prototxt(path):
    try:
        with open(path) as f:
            return text_format.Parse(f.read(), Net())
    except (OSError, ValueError, text_format.ParseError) as error:
        checks.end("%s cannot be read as a net's prototxt: %s" % (path, error))


def write_prototxt(net, path):
    with open(path, "w") as f:
        f.write(text_format.MessageToString(net))


def pair(parameter, name, default):
    """(height, width) of kernel_size, pad or stride."""
    short = "kernel" if name == "kernel_size" else name
    if parameter.HasField(short + "_h"):
        return getattr(parameter, short + "_h"), getattr(parameter, short + "_w")
    value = getattr(parameter, name)
    if isinstance(value, int):
        return (value, value) if parameter.HasField(name) else (default, default)
    values = list(value) or [default]
    return values[0], values[-1]


def read_weights(path):
    try:
        with open(path, "rb") as f:
            return Net.FromString(f.read())
    except (OSError, DecodeError) as error:
        checks.end("%s cannot be read as a caffemodel: %s" % (path, error))


def write_weights(net, path):
    with open(path, "wb") as f:
        f.write(net.SerializeToString())


def arrays(weights):
    """{layer: [array of each blob]} of a caffemodel's message."""
    return {layer.name: [np.array(blob.data, np.float32).reshape(list(blob.shape.dim))
                         for blob in layer.blobs] for layer in weights.layer}


def parameters(weights):
    """How many values training changes: all but BatchNorm's running statistics."""
    return sum(len(blob.data) for layer in weights.layer if layer.type != "BatchNorm"
               for blob in layer.blobs)


def input_layer(name, shape):
    layer = Layer(name=name, type="Input", top=[name])
    layer.input_param.shape.add().dim.extend(shape)
    return layer


def _renamed(layer, names):
    layer.bottom[:] = [names.get(blob, blob) for blob in layer.bottom]
    layer.top[:] = [names.get(blob, blob) for blob in layer.top]


def with_inputs(model, shape):
    """The net of models/MODEL with Input layers for data and label, and no Accuracy."""
    net = read_prototxt(os.path.join(SOURCE, "models", model, "train_val.prototxt"))
    layers = [layer for layer in net.layer if layer.type not in ("Data", "Accuracy")]
    del net.layer[:]
    net.layer.extend([input_layer("data", shape), input_layer("label", shape[:1])] + layers)
    return net


def without_gates(net):
    result, names = Net(name=net.name), {}
    for layer in net.layer:
        if layer.type == GATE:
            names[layer.top[0]] = names.get(layer.bottom[0], layer.bottom[0])
            continue
        _renamed(result.layer.add(), {})
        result.layer[-1].CopyFrom(layer)
        _renamed(result.layer[-1], names)
    return result


def with_gates(net):
    """A bottleneck behind every ReLU; a net that has bottlenecks stays as it is."""
    if any(layer.type == GATE for layer in net.layer):
        return net
    result, names = Net(name=net.name), {}
    for layer in net.layer:
        result.layer.add().CopyFrom(layer)
        _renamed(result.layer[-1], names)
        if layer.type == "ReLU":
            top = layer.top[0]
            gate = result.layer.add(name="ib_" + layer.name, type=GATE, bottom=[top],
                                    top=["ib_" + layer.name])
            gate.information_bottleneck_param.SetInParent()
            names[top] = gate.top[0]
    return result


def with_batch(net, batch):
    result = Net()
    result.CopyFrom(net)
    for layer in result.layer:
        if layer.type == "Input":
            layer.input_param.shape[0].dim[0] = batch
    return result


def for_inference(net):
    """Without label and loss."""
    result = Net(name=net.name)
    result.layer.extend(layer for layer in net.layer
                        if "label" not in layer.top and "label" not in layer.bottom)
    return result


def spread(candidates, count):
    """So many of the candidates, evenly apart."""
    return [candidates[i * len(candidates) // count] for i in range(count)]


def keep_units(net, weights, kept):
    """Sets each gate to keep kept[i] of its units, a count or a share of them, or all without kept.

    A gate behind a Flatten keeps units of the channels that the gate before it keeps.
    """
    gates = [layer for layer in net.layer if layer.type == GATE]
    flat = {layer.top[0] for layer in net.layer if layer.type == "Flatten"}
    blobs = {layer.name: layer.blobs for layer in weights.layer}
    before, units_before = [], 0
    for i, gate in enumerate(gates):
        log_sigma2 = blobs[gate.name][1].data
        units = len(log_sigma2)
        candidates = list(range(units))
        if before and gate.bottom[0] in flat:
            size = units // units_before
            candidates = [unit for unit in candidates if unit // size in before]
        count = units
        if kept is not None:
            count = kept[i] if isinstance(kept, (list, tuple)) else max(1, round(kept * units))
        before, units_before = set(spread(candidates, count)), units
        for unit in range(units):
            log_sigma2[unit] = KEPT_LOG_SIGMA2 if unit in before else DEAD_LOG_SIGMA2


def tools_of(build):
    """The folder of a build's tools, or of a bundle's."""
    in_build = os.path.join(build, "tools")
    return in_build if os.path.isdir(in_build) else os.path.join(build, "bin")


class Workshop:
    """Runs the tools of a build in one folder, where it leaves the files."""

    def __init__(self, build, folder):
        self.build, self.folder = os.path.abspath(build), folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def tool(self, name):
        return os.path.join(tools_of(self.build), name)

    def run(self, tool, *arguments):
        """The tool's output, and its peak memory in bytes. Ends the program where it fails."""
        with open(self.path(tool + ".log"), "w+") as log:
            process = subprocess.Popen([self.tool(tool), *arguments], cwd=self.folder, text=True,
                                       stdout=subprocess.PIPE, stderr=log)
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = status
            log.seek(0)
            if status != 0:
                checks.end("%s %s: %s" % (tool, " ".join(arguments), log.read().strip()[-2000:]))
        return output, usage.ru_maxrss * 1024

    def random_weights(self, name, net, steps=2):
        """Writes NAME.prototxt; returns weights as filled, BatchNorm's statistics of noise."""
        noise = Net()
        noise.CopyFrom(net)
        for layer in noise.layer:
            if layer.type == "Input":
                layer.type = "DummyData"
                layer.dummy_data_param.shape.add().CopyFrom(layer.input_param.shape[0])
                layer.ClearField("input_param")
                if layer.name == "data":
                    layer.dummy_data_param.data_filler.add(type="gaussian")
        write_prototxt(net, self.path(name + ".prototxt"))
        write_prototxt(noise, self.path("noise.prototxt"))
        with open(self.path("solver.prototxt"), "w") as f:
            f.write('net: "noise.prototxt" base_lr: 1e-9 lr_policy: "fixed" max_iter: %d '
                    'kl_weight: 0 random_seed: 1 snapshot_prefix: "%s"\n' % (steps, name))
        self.run("vibnet-train", "--solver", "solver.prototxt")
        for path in glob.glob(self.path(name + "*.solverstate")):
            os.remove(path)
        return read_weights(self.path("%s_iter_%d.caffemodel" % (name, steps)))

    def compress(self, model, weights, out, *options):
        """Writes OUT.prototxt, OUT.deploy.prototxt and OUT.caffemodel; returns the report."""
        self.run("vibnet-compress", "--model", model, "--weights", weights, "--out_model",
                 out + ".prototxt", "--out_weights", out + ".caffemodel", "--report",
                 out + ".json", *options)
        with open(self.path(out + ".json")) as f:
            return json.load(f)


class Case:
    """A net of the benchmark. `kept` says what its compressed form keeps of each gate's units."""

    def __init__(self, title, model, picture, train, infer, kept, shape):
        self.title, self.model, self.picture = title, model, picture
        self.train, self.infer, self.kept, self.shape = train, infer, kept, shape

    def build(self, workshop):
        """Writes the files of the variants 'dense', 'gated' and 'compressed': VARIANT.train.prototxt
        with VARIANT.train.caffemodel, and the same for `infer`. Returns the compression's report.

        dense and compressed have their BatchNorm folded for inference, as vibnet-compress deploys
        them; gated is the net as it trains.
        """
        gated = with_gates(with_inputs(self.model, [2] + self.picture))
        weights = workshop.random_weights("gated", gated)
        files = lambda name: (name + ".prototxt", name + ".caffemodel")

        def write(name, net):
            write_prototxt(net, workshop.path(name + ".prototxt"))
            write_weights(weights, workshop.path(name + ".caffemodel"))

        keep_units(gated, weights, None)
        write("gated.train", gated)
        write("gated.infer", for_inference(gated))
        keep_units(gated, weights, self.kept)
        write("masked", gated)
        for layer in gated.layer:
            if layer.type == GATE:
                weights.layer.remove(next(l for l in weights.layer if l.name == layer.name))
        write("dense.train", without_gates(gated))

        workshop.compress(*files("dense.train"), "dense.infer", "--fold_batchnorm")
        workshop.compress(*files("masked"), "compressed.infer", "--fold_batchnorm")
        report = workshop.compress(*files("masked"), "compressed.train")
        for name in ("dense.infer", "compressed.infer"):
            os.replace(workshop.path(name + ".deploy.prototxt"), workshop.path(name + ".prototxt"))
        return report


CASES = {
    "lenet_300_100": Case("LeNet-300-100", "lenet_300_100", [1, 28, 28], [64], [1, 64],
                          [115, 47, 23], "115-47-23, seed 1 of models/lenet_300_100/README.md"),
    "lenet5": Case("LeNet-5", "lenet5", [1, 28, 28], [64], [1, 64], [3, 8, 79, 22],
                   "3-8-79-22, seed 1 of models/lenet5/README.md"),
    "vgg16": Case("VGG-16-BN (CIFAR)", "vgg16_cifar10", [3, 32, 32], [32, 128], [1, 32],
                  [32, 41, 77, 81, 165, 133, 96, 105, 78, 57, 107, 116, 331, 94],
                  "32-41-77-81-165-133-96-105-78-57-107-116-331-94, seed 1 of "
                  "models/vgg16_cifar10/README.md"),
    "resnet20": Case("ResNet-20 (CIFAR)", "resnet20_cifar10", [3, 32, 32], [64], [1, 64], 0.5,
                     "half of each gate's units, chosen by hand"),
    "mobilenet": Case("MobileNet v1 (224)", "mobilenet_v1", [3, 224, 224], [8], [1], 0.5,
                      "half of each gate's units, chosen by hand"),
}
