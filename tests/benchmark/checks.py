"""What the programs here ask of their arguments: what is wrong ends them with one line. Needs only
Python itself, as compaction.py and mpi.py do."""
import argparse
import math
import os
import sys

PIP = 'pip install numpy protobuf torch onnxruntime "opencv-python-headless<5"'


def end(message):
    sys.exit("%s: %s" % (os.path.basename(sys.argv[0]), message))


def missing(error):
    """Ends where an import failed."""
    end("%s; what installs the packages, by tests/benchmark/README.md: %s"
        % (str(error).split("\n")[0], PIP))


def parser(doc):
    """A parser whose usage and description are those of the program's docstring."""
    before, rest = doc.split("usage: ", 1)
    usage, after = rest.split("\n\n", 1)
    return argparse.ArgumentParser(usage=usage, description=before + after,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)


def add_rest(parser, name, kind):
    """All that follows, flags too; there may be nothing."""
    rest = parser.add_argument(name, nargs=argparse.REMAINDER, type=kind, help=argparse.SUPPRESS)
    rest.required = False


def _number(text, kind, fits, wanted):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not fits(value):
        raise argparse.ArgumentTypeError("'%s' must be %s" % (text, wanted))
    return value


def count(least):
    return lambda text: _number(text, int, lambda value: value >= least,
                                "a whole number of at least %d" % least)


def seconds(text):
    return _number(text, float, lambda value: 0 < value < math.inf, "a finite number above 0")


def share(text):
    return _number(text, float, lambda value: 0 <= value <= 1, "a share, 0 to 1")


def setting(text):
    """A field of the solver or a flag of vibnet-train, in one word."""
    if "=" not in text and not text.startswith("--"):
        raise argparse.ArgumentTypeError("'%s' must be field=value or --flag=value" % text)
    return text


def need_programs(build, *programs):
    for program in programs:
        path = os.path.join(build, program)
        if not (os.path.isfile(path) and os.access(path, os.X_OK)):
            end("%s is not there; build the project first, and name its build folder" % path)


def training_parser(doc):
    """Of a program that has vibnet-train run a solver in a folder with its data."""
    made = parser(doc)
    for name, metavar in (("build", "BUILD_FOLDER"), ("data", "DATA_FOLDER"), ("solver", "SOLVER")):
        made.add_argument(name, metavar=metavar, type=os.path.abspath)
    return made


def need_training(arguments):
    need_programs(arguments.build, "tools/vibnet-train")
    need_folder("DATA_FOLDER", arguments.data)
    need_file("SOLVER", arguments.solver)


def need_file(name, path):
    if not (os.path.isfile(path) and os.access(path, os.R_OK)):
        end("%s: %s must be a file that can be read" % (name, path))


def need_folder(name, path):
    if not os.path.isdir(path):
        end("%s: %s must be a folder that is there" % (name, path))


def need_writable(name, path):
    folder = os.path.dirname(path) or "."
    there = os.path.exists(path)
    if (not path or os.path.isdir(path) or not os.path.isdir(folder)
            or not os.access(path if there else folder, os.W_OK)):
        end("%s: '%s' must be a file that can be written" % (name, path))
