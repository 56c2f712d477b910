"""The tables of run.py, in Markdown, from what it measured."""
import platform
import subprocess

NAMES = {"vibnet": "vibnet", "torch": "PyTorch", "onnxruntime": "onnxruntime",
         "opencv": "OpenCV's dnn"}


def machine(cores):
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), platform.machine())
    memory = next(int(line.split()[1]) for line in open("/proc/meminfo")) / 2 ** 20
    compiler = subprocess.run(["c++", "--version"], stdout=subprocess.PIPE, text=True)
    return "%d cores of %s, %.0f GB, Linux %s, %s" % (
        cores, model, memory, platform.release().split("-")[0], compiler.stdout.split("\n")[0])


def number(value):
    return "%.3g" % value if value < 100 else "%.0f" % value


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def gflops(row, name):
    return row["flops"] / row[name]["ms"] / 1e6


def cells(row, peers, best_gemm):
    """Our milliseconds, then each peer's and the times it takes as long, then the rest."""
    rate = gflops(row, "vibnet")
    result = [row["net"], row["variant"], str(row["batch"]), number(row["vibnet"]["ms"])]
    for peer in peers:
        result.append("%s (%.2f)" % (number(row[peer]["ms"]), row[peer]["ms"] / row["vibnet"]["ms"])
                      if peer in row else "")
    result.append("%s (%.0f %%)" % (number(rate), 100 * rate / best_gemm))
    for name in ["vibnet"] + peers:
        result.append("%.0f (%.0f)" % (row[name]["peak_mb"], row[name]["before_mb"])
                      if name in row else "")
    return result


def times(result, mode):
    rows = [row for row in result["rows"] if row["mode"] == mode]
    peers = [peer for peer in result["versions"] if any(peer in row for row in rows)]
    header = (["net", "variant", "batch", "vibnet ms"] + [NAMES[p] + " ms" for p in peers]
              + ["GFLOP/s"] + ["MB " + NAMES[name] for name in ["vibnet"] + peers])
    best = max(result["gemm"].values())
    return table(header, [cells(row, peers, best) for row in rows]) if rows else ""


def by_variant(result):
    """{(net, mode, batch): {variant: row}}"""
    groups = {}
    for row in result["rows"]:
        groups.setdefault((row["net"], row["mode"], row["batch"]), {})[row["variant"]] = row
    return groups


def overhead(result):
    rows = []
    for (net, mode, batch), group in by_variant(result).items():
        if mode != "train" or not {"dense", "gated"} <= set(group):
            continue
        more = lambda name: 100 * (group["gated"][name]["ms"] / group["dense"][name]["ms"] - 1)
        rows.append([net, str(batch)] + ["%+.1f %%" % more(name) if name in group["gated"] else ""
                                         for name in ("vibnet", "torch")])
    return table(["net", "batch", "vibnet", "PyTorch"], rows) if rows else ""


def gain(result):
    rows = []
    for (net, mode, batch), group in by_variant(result).items():
        if mode != "infer" or not {"dense", "compressed"} <= set(group):
            continue
        dense, small = group["dense"], group["compressed"]
        fewer = dense["flops"] / small["flops"]
        faster = dense["vibnet"]["ms"] / small["vibnet"]["ms"]
        rows.append([net, str(batch), "%.1f %%" % (100 - 100 / fewer), "%.2f" % fewer,
                     "%.2f" % faster, "%.2f" % (faster / fewer)]
                    + ["%.2f" % (dense[p]["ms"] / small[p]["ms"]) if p in small else ""
                       for p in result["versions"]])
    header = ["net", "batch", "FLOPs cut", "FLOPs /", "time /", "time / over FLOPs /"]
    return table(header + [NAMES[p] + " time /" for p in result["versions"]], rows) if rows else ""


def shapes(result):
    rows = [[net, report["shape"]] + ["%d → %d" % (report["before"][key], report["after"][key])
                                      for key in ("weights", "flops")]
            for net, report in result["reports"].items()]
    return table(["net", "compressed: what each gate keeps", "weights", "FLOPs a picture"], rows)


def head(result):
    versions = ", ".join("%s %s" % (NAMES[name], version)
                         for name, version in result["versions"].items() if version)
    gemm = ", ".join("%s %.0f, and %.0f behind the rest" % (name, gflops, result["gemm_behind"][name])
                     for name, gflops in result["gemm"].items())
    lines = ["`%s`, %s, %s; %s." % (result["command"], result["date"], result["machine"], versions),
             "Medians of %d rounds of %g s each, in turns. GEMM of 2048 x 2048: %s GFLOP/s. "
             "Largest difference of a peer's scores or losses from ours: %.1e."
             % (result["rounds"], result["seconds"], gemm,
                max(row.get("difference", 0) for row in result["rows"]))]
    if result["quick"]:
        lines.insert(0, "**A quick run, to try the program: no measurement.**")
    if result["uneven"]:
        lines.append("Rounds of one contestant differ by more than 1.3 times, the slowest over the "
                     "fastest: %s." % "; ".join(result["uneven"]))
    lines += ["**Failed: %s**" % failure for failure in result["failures"]]
    return "\n\n".join(lines)


def ending(result):
    linked = result["linked"]
    return ("`vibnet-test` on LeNet-5, one picture from an LMDB, from start to end: %.1f ms.\n\n"
            "The library names %s; unused of these: %s; with what they need in turn, `ldd` lists %d."
            % (result["start_up_ms"], ", ".join(linked["needed"]),
               ", ".join(linked["unused"]) or "none", linked["all"]))


def markdown(result):
    parts = [("", head(result)), ("A training step", times(result, "train")),
             ("Inference", times(result, "infer")),
             ("What bottlenecks add to a training step", overhead(result)),
             ("What compression gains", gain(result)), ("The compressed nets", shapes(result)),
             ("Start-up and libraries", ending(result))]
    return "\n\n".join(("### " + title + "\n\n" if title else "") + text
                       for title, text in parts if text) + "\n"
