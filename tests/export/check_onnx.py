#!/usr/bin/env python3
"""Runs exported nets in onnxruntime and compares their outputs with vibnet's.

usage: check_onnx.py ONNX_CASES FOLDER

ONNX_CASES, built from onnx_cases.cpp, writes the nets, inputs and outputs into FOLDER. Exits 77 where
Python has no onnx or onnxruntime.
"""

import collections
import pathlib
import subprocess
import sys

try:
    import numpy
    import onnx
    import onnxruntime
except ImportError as error:
    print(f"skipped: {error}; tests/run.sh installs what tests/requirements.txt names")
    sys.exit(77)

TOLERANCE = 1e-4


def read_manifest(folder):
    """{case: {"in": {value: array}, "out": {value: array}, "fail": message}}"""
    cases = collections.defaultdict(lambda: {"in": {}, "out": {}, "fail": None})
    for line in (folder / "manifest.txt").read_text().splitlines():
        case, what, *rest = line.split("\t")
        if what == "fail":
            cases[case][what] = rest[0]
            continue
        file, value, shape = rest
        dims = [int(size) for size in shape.split("x")] if shape else []
        values = numpy.fromfile(folder / file, numpy.float32).reshape(dims)
        cases[case][what][value] = values
    return cases


def difference(expected, found):
    """The largest difference, relative to the largest output."""
    if expected.shape != found.shape:
        raise ValueError(f"is {found.shape}, and vibnet's {expected.shape}")
    if not numpy.isfinite(expected).all():
        raise ValueError("vibnet's own output is not finite")
    largest = max(float(numpy.abs(expected).max()), 1e-6)
    return float(numpy.abs(expected - found).max()) / largest


def check(path, case):
    if case["fail"]:
        raise ValueError(case["fail"])
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = list(case["out"])
    worst = 0.0
    for name, found in zip(names, session.run(names, case["in"])):
        try:
            apart = difference(case["out"][name], found)
        except ValueError as error:
            raise ValueError(f"output '{name}' {error}") from error
        if not apart <= TOLERANCE:
            raise ValueError(f"output '{name}' differs by {apart:.2e} of its largest value")
        worst = max(worst, apart)
    return worst


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    subprocess.run([program, folder], check=True)
    onnxruntime.set_default_logger_severity(3)
    passed = failed = 0
    for name, case in read_manifest(folder).items():
        try:
            print(f"PASS {name} ({check(folder / f'{name}.onnx', case):.1e})")
            passed += 1
            (folder / f"{name}.onnx").unlink()  # hundreds of MB in all
        except Exception as error:  # whatever onnx and onnxruntime throw is a failed case
            print(f"FAIL {name}: {error}")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
