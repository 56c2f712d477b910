#!/usr/bin/env python3
"""Training step of LeNet-5 at batch 64: vibnet against PyTorch, in turns on one machine.

usage: tests/benchmark/run.py [--build build/release] [--rounds 5]
Needs PyTorch (pip install torch). Both use all cores; the medians over all rounds are compared.
"""
import argparse
import os
import statistics
import subprocess
import time

import torch

STEPS = 40
WARM_UP = 10


def torch_steps():
    torch.set_num_threads(os.cpu_count())
    nn = torch.nn
    net = nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))
    data = torch.full((64, 1, 28, 28), 0.5)
    labels = torch.full((64,), 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    loss = nn.CrossEntropyLoss()
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss(net(data), labels).backward()
        optimizer.step()
        times.append(1e3 * (time.perf_counter() - start))
    return times[WARM_UP:]


def vibnet_steps(build):
    here = os.path.dirname(os.path.abspath(__file__))
    out = subprocess.run(
        [os.path.join(build, "tests", "step_time"), os.path.join(here, "lenet5.prototxt"), str(STEPS)],
        check=True, capture_output=True, text=True).stdout
    return [float(line) for line in out.split()][WARM_UP:]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    ours, theirs = [], []
    for _ in range(arguments.rounds):
        ours += vibnet_steps(arguments.build)
        theirs += torch_steps()
    ours_ms, theirs_ms = statistics.median(ours), statistics.median(theirs)
    print(f"LeNet-5, batch 64, a training step: vibnet {ours_ms:.2f} ms, PyTorch {torch.__version__} "
          f"{theirs_ms:.2f} ms, ratio {theirs_ms / ours_ms:.2f}")


if __name__ == "__main__":
    main()
