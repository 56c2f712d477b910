#!/usr/bin/env python3
"""What compact_interval saves: one solver with it and with freeze_interval, which leaves the dead
units in the net, side by side on one thread each.

usage: compaction.py BUILD_FOLDER DATA_FOLDER SOLVER INTERVAL [field=value | --flag=value]...

DATA_FOLDER holds the LMDBs that the solver's net names; a --flag is one of vibnet-train's, such as
--weights. Prints for each run the processor's seconds and the clock's, its last loss, kept units and
test outputs, and the ratio of the processor's seconds, which another program on the machine disturbs
less.
"""
import json
import os
import subprocess
import tempfile
import time

import checks


def start(build, data, solver, folder, fields):
    command = [os.path.join(build, "tools", "vibnet-train"), "--solver", solver, "--log_dir",
               folder, "--set", "snapshot_prefix=" + os.path.join(folder, "net")]
    for field in fields:
        command += [field] if field.startswith("--") else ["--set", field]
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    with open(os.path.join(folder, "stderr"), "w") as log:
        return subprocess.Popen(command, cwd=data, env=environment, stdout=subprocess.DEVNULL,
                                stderr=log)


def last_words(folder):
    with open(os.path.join(folder, "stderr")) as f:
        return (f.read().strip().split("\n"))[-1]


def logged(folder, key):
    with open(os.path.join(folder, "log.jsonl")) as f:
        entries = [json.loads(line) for line in f]
    values = [entry[key] for entry in entries if key in entry]
    if not values:
        checks.end("the run logged no '%s'; it needs bottlenecks, and a display and a test within "
                   "its iterations" % key)
    return values


def print_difference(folders):
    """How far the two loss curves have parted by each quarter of the run."""
    first, second = (logged(folder, "loss") for folder in folders)
    apart = [abs(a - b) / max(abs(a), abs(b)) for a, b in zip(first, second)]
    quarters = [max(apart[:max(1, len(apart) * q // 4)]) for q in range(1, 5)]
    print("the losses differ by %s of themselves at most, by each quarter of the run"
          % ", ".join("%.1e" % quarter for quarter in quarters))


def parse():
    parser = checks.training_parser(__doc__)
    parser.add_argument("interval", metavar="INTERVAL", type=checks.count(1))
    checks.add_rest(parser, "fields", checks.setting)
    arguments = parser.parse_args()
    checks.need_training(arguments)
    return arguments


def main():
    arguments = parse()
    build, data, solver = arguments.build, arguments.data, arguments.solver
    interval, fields = str(arguments.interval), arguments.fields
    with tempfile.TemporaryDirectory() as root:
        runs = {"frozen": fields + ["freeze_interval=" + interval],
                "compacted": fields + ["compact_interval=" + interval]}
        begin = time.time()
        processes = {}
        for name, settings in runs.items():
            os.mkdir(os.path.join(root, name))
            processes[name] = start(build, data, solver, os.path.join(root, name), settings)
        names = {process.pid: name for name, process in processes.items()}
        seconds = {}
        while len(seconds) < len(runs):
            pid, status, usage = os.wait4(-1, 0)
            name = names[pid]
            seconds[name] = usage.ru_utime + usage.ru_stime
            folder = os.path.join(root, name)
            if status != 0:
                for other in set(processes) - set(seconds):
                    processes[other].kill()
                checks.end("%s: vibnet-train failed: %s" % (name, last_words(folder)))
            print("%-9s  %.1f s of processor, %.1f s by the clock, loss %.4f, kept %s, %s"
                  % (name, seconds[name], time.time() - begin, logged(folder, "loss")[-1],
                     logged(folder, "kept")[-1], logged(folder, "outputs")[-1]), flush=True)
        print_difference([os.path.join(root, name) for name in runs])
        print("the frozen run's processor time over the compacted one's: %.2f"
              % (seconds["frozen"] / seconds["compacted"]))


if __name__ == "__main__":
    main()
