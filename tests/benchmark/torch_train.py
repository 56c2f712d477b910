#!/usr/bin/env python3
"""Trains a net in PyTorch on CIFAR-10's pictures, in one process, for gpu.py.

usage: torch_train.py NET.prototxt WEIGHTS.caffemodel BATCHES.bin... [--device D] [--iterations N]
                      [--batch N] [--compile default|reduce-overhead] [--channels_last] [--tf32]
       torch_train.py rates [--device D] [--tf32]

As one writes it who knows PyTorch: all pictures lie on the device, where a batch is cropped and
mirrored; Adam is fused; `reduce-overhead` brings CUDA graphs; nothing waits for the device before the
end. NET is models/vgg16_cifar10 with Input layers for data and label. Prints a JSON object: images a
second of the second half of the iterations, the mean objective of their last tenth, the number of
parameters. `rates`: the device's GFLOP/s in a large product and GB/s in a large copy.
"""
import json
import time

import checks

try:
    import numpy as np
    import torch
except ImportError as error:
    checks.missing(error)
import nets
import torch_net

SIDE, PAD = 32, 4
RECORD = 1 + 3 * SIDE * SIDE
# As in models/vgg16_cifar10.
MEAN, SCALE = (123.675, 116.28, 103.53), 0.017352
RATE, DECAY, KL_WEIGHT = 1e-3, 5e-5, 3e-5


def read_records(path):
    values = np.fromfile(path, np.uint8)
    if len(values) == 0 or len(values) % RECORD != 0:
        checks.end("BATCHES: %s is no binary batch of CIFAR-10's" % path)
    return values.reshape(-1, RECORD)


class Pictures:
    """CIFAR-10's binary batches; each epoch in an order of its own."""

    def __init__(self, paths, batch, device):
        records = np.concatenate([read_records(path) for path in paths])
        if len(records) < batch:
            checks.end("BATCHES: %d pictures are too few for a batch of %d" % (len(records), batch))
        pictures = torch.from_numpy(records[:, 1:].reshape(-1, 3, SIDE, SIDE).copy())
        padded = torch.nn.functional.pad(pictures, [PAD] * 4).to(device).float()
        self.pictures = (padded - torch.tensor(MEAN, device=device).view(1, 3, 1, 1)) * SCALE
        self.labels = torch.from_numpy(records[:, 0].astype(np.int64)).to(device)
        self.batch, self.device, self.order = batch, device, torch.empty(0)

    def draw(self, highest):
        return torch.randint(highest, (self.batch,), device=self.device)

    def next(self):
        if len(self.order) < self.batch:
            self.order = torch.randperm(len(self.labels), device=self.device)
        chosen, self.order = self.order[:self.batch], self.order[self.batch:]
        places = torch.arange(SIDE, device=self.device)
        rows = self.draw(2 * PAD + 1)[:, None] + places
        columns = torch.where(self.draw(2)[:, None] > 0, places, SIDE - 1 - places)
        columns = columns + self.draw(2 * PAD + 1)[:, None]
        data = self.pictures[chosen[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return data.permute(0, 3, 1, 2), self.labels[chosen]


def synchronize(device):
    if device != "cpu":
        torch.cuda.synchronize()


def allow_tf32(allowed):
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cudnn.benchmark = True


def train(arguments):
    net, _ = torch_net.load(arguments.net, arguments.weights)
    layout = torch.channels_last if arguments.channels_last else torch.contiguous_format
    net = net.to(arguments.device, memory_format=layout).train()
    gates = [module for module in net.modules() if isinstance(module, torch_net.InformationBottleneck)]
    count = sum(parameter.numel() for parameter in net.parameters())
    fused = {"fused": True} if arguments.device != "cpu" else {}
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE, weight_decay=DECAY, **fused)
    loss_of = torch.nn.CrossEntropyLoss()
    pictures = Pictures(arguments.batches, arguments.batch, arguments.device)

    def objective(data, label):
        loss = loss_of(net(data).flatten(1), label) + KL_WEIGHT * sum(gate.kl for gate in gates)
        for gate in gates:
            gate.kl = None  # else a compiled net has it as one more output, with a gradient
        return loss

    if arguments.compile:
        objective = torch.compile(objective, fullgraph=True, mode=arguments.compile)
    losses = []
    for iteration in range(arguments.iterations):
        if iteration == arguments.iterations // 2:
            synchronize(arguments.device)
            begin = time.perf_counter()
        data, label = pictures.next()
        optimizer.zero_grad()
        loss = objective(data.contiguous(memory_format=layout), label)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().clone())
    synchronize(arguments.device)
    seconds = time.perf_counter() - begin
    timed = arguments.iterations - arguments.iterations // 2
    last = losses[-max(1, len(losses) // 10):]
    return {"images_per_s": arguments.batch * timed / seconds,
            "objective": float(sum(last) / len(last)),
            "parameters": count, "version": torch.__version__}


def per_second(device, run, times=10):
    for _ in range(3):
        run()
    synchronize(device)
    begin = time.perf_counter()
    for _ in range(times):
        run()
    synchronize(device)
    return times / (time.perf_counter() - begin)


def rates(arguments):
    size = 8192 if arguments.device != "cpu" else 1024
    a, b = (torch.randn(size, size, device=arguments.device) for _ in range(2))
    c = torch.empty_like(a)
    return {"gflops": 2e-9 * size ** 3 * per_second(arguments.device, lambda: torch.mm(a, b, out=c)),
            "gb_per_s": 8e-9 * a.numel() * per_second(arguments.device, lambda: c.copy_(a))}


def parse():
    parser = checks.parser(__doc__)
    parser.add_argument("net")
    parser.add_argument("weights", nargs="?")
    parser.add_argument("batches", nargs="*")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--iterations", type=checks.count(2), default=800)
    parser.add_argument("--batch", type=checks.count(1), default=128)
    parser.add_argument("--compile", choices=["default", "reduce-overhead"])
    for flag in ("channels_last", "tf32"):
        parser.add_argument("--" + flag, action="store_true")
    arguments = parser.parse_args()
    if arguments.net != "rates":
        if not arguments.batches:
            parser.error("needs WEIGHTS and BATCHES")
        for name, path in [("NET", arguments.net), ("WEIGHTS", arguments.weights),
                           *(("BATCHES", path) for path in arguments.batches)]:
            checks.need_file(name, path)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        checks.end("--device cuda: PyTorch finds no GPU")
    return arguments


def main():
    arguments = parse()
    allow_tf32(arguments.tf32)
    print(json.dumps(rates(arguments) if arguments.net == "rates" else train(arguments)))


if __name__ == "__main__":
    main()
