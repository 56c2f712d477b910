#!/usr/bin/env python3
"""What a second rank saves: one solver with one rank and with two, of one thread each.

usage: mpi.py BUILD_FOLDER DATA_FOLDER SOLVER ITERATIONS [ROUNDS] [field=value | --flag=value]...

DATA_FOLDER holds the LMDBs that the solver's net names; a --flag is one of vibnet-train's, such as
--weights. One rank and two run in turn, ROUNDS times each (1 if not given). Prints for each run its
seconds by the clock for an iteration, the first ones left out, and in the end the ratio of the
fastest of each, and the largest relative difference of the loss curves.
"""
import json
import os
import shutil
import subprocess
import tempfile

import checks

WARM_UP = 3


def run(ranks, build, data, solver, iterations, fields):
    with tempfile.TemporaryDirectory() as folder:
        command = [os.path.join(build, "tools", "vibnet-train"), "--solver", solver, "--log_dir",
                   folder]
        for field in ["display=1", "snapshot=0", "snapshot_after_train=false", "test_interval=0",
                      "test_initialization=false", "test_iter=1", "max_iter=%d" % iterations] + fields:
            command += [field] if field.startswith("--") else ["--set", field]
        if ranks > 1:
            command = ["mpirun", "--allow-run-as-root", "--bind-to", "core", "-np",
                       str(ranks)] + command
        environment = dict(os.environ, OMP_NUM_THREADS="1")
        done = subprocess.run(command, cwd=data, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            checks.end("%d rank(s): vibnet-train failed: %s" % (ranks, done.stderr.strip()))
        with open(os.path.join(folder, "log.jsonl")) as f:
            steps = [entry for entry in map(json.loads, f) if "loss" in entry]
    if len(steps) < WARM_UP + 2:
        checks.end("%d losses were logged; it takes %d, each iteration's" % (len(steps), WARM_UP + 2))
    seconds = (steps[-1]["seconds"] - steps[WARM_UP]["seconds"]) / (len(steps) - 1 - WARM_UP)
    print("%d rank%s  %.4f s an iteration, last loss %.6f"
          % (ranks, "s" if ranks > 1 else " ", seconds, steps[-1]["loss"]), flush=True)
    return seconds, [step["loss"] for step in steps]


def rounds_or_setting(text):
    return checks.count(1)(text) if text.isdecimal() else checks.setting(text)


def parse():
    parser = checks.training_parser(__doc__)
    parser.add_argument("iterations", metavar="ITERATIONS", type=checks.count(WARM_UP + 2))
    checks.add_rest(parser, "fields", rounds_or_setting)
    arguments = parser.parse_args()
    fields = arguments.fields
    arguments.rounds = fields.pop(0) if fields and isinstance(fields[0], int) else 1
    if any(isinstance(field, int) for field in fields):
        parser.error("ROUNDS stands once, behind ITERATIONS")
    checks.need_training(arguments)
    if not shutil.which("mpirun"):
        checks.end("mpirun is not there; install Open MPI")
    return arguments


def main():
    arguments = parse()
    build, data, solver = arguments.build, arguments.data, arguments.solver
    iterations, fields = arguments.iterations, arguments.fields
    seconds = {1: [], 2: []}
    curves = {}
    for _ in range(arguments.rounds):
        for ranks in seconds:
            taken, curves[ranks] = run(ranks, build, data, solver, iterations, fields)
            seconds[ranks].append(taken)
    difference = max(abs(a - b) / abs(a) for a, b in zip(curves[1], curves[2]))
    print("one rank's time over two ranks': %.2f" % (min(seconds[1]) / min(seconds[2])))
    print("largest relative difference of the losses of %d iterations: %.1e"
          % (len(curves[1]), difference))


if __name__ == "__main__":
    main()
