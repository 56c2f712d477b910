#!/usr/bin/env python3
"""What compact_interval saves: one solver with it and without, side by side on one thread each.

usage: compaction.py BUILD_FOLDER DATA_FOLDER SOLVER INTERVAL [field=value...]

DATA_FOLDER holds the LMDBs that the solver's net names. Prints each run's wall time, its last loss
and test outputs, the FLOPs of the net at its end, and the ratio of the times.
"""
import json
import os
import subprocess
import sys
import tempfile
import time


def start(build, data, solver, folder, fields):
    command = [os.path.join(build, "tools", "vibnet-train"), "--solver", solver, "--log_dir",
               folder, "--set", "snapshot_prefix=" + os.path.join(folder, "net")]
    for field in fields:
        command += ["--set", field]
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    return subprocess.Popen(command, cwd=data, env=environment, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def last(folder, key):
    with open(os.path.join(folder, "log.jsonl")) as f:
        return [json.loads(line)[key] for line in f if '"%s"' % key in line][-1]


def main():
    build, data, solver = (os.path.abspath(path) for path in sys.argv[1:4])
    interval, fields = sys.argv[4], sys.argv[5:]
    with tempfile.TemporaryDirectory() as root:
        runs = {"whole": fields, "compacted": fields + ["compact_interval=" + interval]}
        begin = time.time()
        processes = {}
        for name, settings in runs.items():
            os.mkdir(os.path.join(root, name))
            processes[name] = start(build, data, solver, os.path.join(root, name), settings)
        seconds = {}
        while len(seconds) < len(runs):
            time.sleep(0.05)
            for name, process in processes.items():
                if name not in seconds and process.poll() is not None:
                    seconds[name] = time.time() - begin
        for name, process in processes.items():
            if process.returncode != 0:
                sys.exit(name + ": vibnet-train failed")
            folder = os.path.join(root, name)
            print("%-9s  %7.1f s, loss %.4f, kept %s, %s"
                  % (name, seconds[name], last(folder, "loss"), last(folder, "kept"),
                     last(folder, "outputs")), flush=True)
        print("time of the whole run over that of the compacted one: %.2f"
              % (seconds["whole"] / seconds["compacted"]))


if __name__ == "__main__":
    main()
