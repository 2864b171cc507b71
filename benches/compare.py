#!/usr/bin/env python3
"""wgrad against PyTorch and burn, on the workloads of `wgrad bench`: medians and ratios.

benches/compare.py [--on cpu|gpu|software] [--repeats N] [--markdown | --json] [WORKLOAD ...]

Every measurement is a process of its own, and the contenders take turns, so that a slow minute of the machine is
nobody's alone; the figure is the median over the turns. A ratio above 1 says that wgrad is faster. Peers that are not
there are left out, with a note on how to get them:

  PyTorch  pip install torch; --python names the interpreter that has it
  burn     cargo build --release in benches/peers/burn, of which Cargo.toml names further variants: without fusion in
           target/eager, and for software adapters in target/wgsl; --burn names another place of their target folders
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BURN = ROOT / "benches/peers/burn"
USUAL = ["tabular", "mid", "wide"]
MODELS = [*USUAL, "cnn"]


def note(text):
    print(text, file=sys.stderr, flush=True)


def run(command, folder=ROOT):
    """The lines of JSON that a command prints, or why there are none."""
    try:
        done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True)
    except OSError as error:
        return None, str(error)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        return None, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return json.loads(lines[-1]), None


def wgrad_binary(given):
    if given:
        return Path(given)
    note("building wgrad")
    build = ["cargo", "build", "--quiet", "--release", "-p", "wgrad-cli", "--message-format=json-render-diagnostics"]
    done = subprocess.run(build, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    return Path(next(message["executable"] for message in messages if message.get("executable")))


def contenders(options):
    """Pairs of a name and a function from a workload to a command, or to none; wgrad first."""
    wgrad = wgrad_binary(options.wgrad)
    ours = {"cpu": "cpu", "gpu": "gpu", "software": "vulkan:llvmpipe"}[options.on]
    device = options.device or ours
    found = [(f"wgrad {device}", lambda workload: [wgrad, "bench", workload, "--device", device, "--json"])]

    torch = {"cpu": ["cpu"], "gpu": ["cuda", "cuda-graph"], "software": []}[options.on]
    script = ROOT / "benches/peers/torch_step.py"
    if torch and run([options.python, "-c", "import torch; print('{}')"])[1]:
        note(f"{options.python} has no PyTorch; `pip install torch`, or name another interpreter with --python")
        torch = []
    for kind in torch:
        threads = ["--threads", options.threads] if options.threads else []
        graphed = kind == "cuda-graph"
        found.append((
            f"torch {kind}",
            lambda workload, kind=kind, graphed=graphed: None
            if graphed and workload not in MODELS
            else [options.python, script, "--device", kind, *threads, workload],
        ))

    kind = {"cpu": "flex", "gpu": "wgpu", "software": "wgpu-software"}[options.on]
    builds = {
        "cpu": [("burn flex", "")],
        "gpu": [("burn wgpu fusion", ""), ("burn wgpu", "eager")],
        "software": [("burn wgpu fusion", "wgsl")],
    }
    for name, variant in builds[options.on]:
        binary = Path(options.burn or BURN / "target") / variant / "release/burn-step"
        if not binary.exists():
            note(f"{binary} is not there, so `{name}` is left out; see --help for how to build it")
            continue
        found.append((
            name,
            lambda workload, binary=binary: [binary, "--device", kind, workload]
            if workload in MODELS or workload.startswith("matmul-")
            else None,
        ))
    return found


def measure(options):
    """For each workload the lines of each contender."""
    found = contenders(options)
    results = {}
    for workload in options.workloads:
        lines = results[workload] = {name: [] for name, _ in found}
        silent = set()
        for turn in range(options.repeats):
            for name, command in found:
                words = command(workload)
                if words is None or name in silent:
                    continue
                note(f"{workload}, turn {turn + 1} of {options.repeats}: {name}")
                line, error = run(words)
                if error:
                    note(f"  {name} cannot do {workload}: {error}")
                    silent.add(name)
                else:
                    lines[name].append(line)
                    if options.json:
                        print(json.dumps({"contender": name, "turn": turn + 1, **line}), flush=True)
    return results


def rows(results):
    """The table: a header and a row per workload and contender."""
    yield ["workload", "contender", "median ms", "p10 ms", "p90 ms", "first ms", "rate", "ratio to wgrad"]
    for workload, lines in results.items():
        middle = {name: median(of, "median_ms") for name, of in lines.items() if of}
        # wgrad is the first; it may have failed.
        ours = middle.get(next(iter(lines)))
        for name, of in lines.items():
            if not of:
                continue
            rate = median(of, "gflops"), median(of, "gb_per_s")
            yield [
                workload,
                name,
                digits(middle[name]),
                digits(median(of, "p10_ms")),
                digits(median(of, "p90_ms")),
                digits(median(of, "first_ms")),
                f"{digits(rate[0])} GFLOP/s" if rate[0] else f"{digits(rate[1])} GB/s" if rate[1] else "",
                f"{middle[name] / ours:.2f}" if ours else "",
            ]


def median(lines, key):
    values = [line[key] for line in lines if line.get(key) is not None]
    return statistics.median(values) if values else None


def digits(x):
    if x is None:
        return ""
    return f"{x:.3f}" if x < 1 else f"{x:.2f}" if x < 10 else f"{x:.1f}" if x < 100 else f"{x:.0f}"


def show(table, markdown):
    header, *body = table
    numbers = range(2, len(header))
    if markdown:
        print("| " + " | ".join(header) + " |")
        print("|" + "|".join("---:" if i in numbers else "---" for i in range(len(header))) + "|")
        for row in body:
            print("| " + " | ".join(row) + " |")
        return
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    for row in table:
        cells = (cell.rjust(w) if i in numbers else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths)))
        print("  ".join(cells).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"those of `wgrad bench` [{' '.join(USUAL)}]")
    parser.add_argument("--on", choices=["cpu", "gpu", "software"], default="cpu", help="what computes [cpu]")
    parser.add_argument("--device", help="wgrad's device, where --on leaves a choice")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each contender [3]")
    parser.add_argument("--threads", help="PyTorch's threads [one per processor]")
    parser.add_argument("--wgrad", help="a built `wgrad` [builds one]")
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has PyTorch [this one]")
    parser.add_argument("--burn", help="the target folder of the burn peer [benches/peers/burn/target]")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    output.add_argument("--json", action="store_true", help="print each measurement as a line of JSON")
    options = parser.parse_args()
    options.workloads = options.workloads or USUAL
    results = measure(options)
    if not options.json:
        show(list(rows(results)), options.markdown)


if __name__ == "__main__":
    main()
