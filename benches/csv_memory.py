"""Memory and time of `wgrad train` on a CSV of 1,000,000 rows and 30 columns.

    cargo build --release && python3 benches/csv_memory.py [--wgrad target/release/wgrad] [--rows 1000000]

Writes the file (29 columns of numbers with six digits, and a class) into the folder for temporary files, unless it is there
already, and trains on it for an epoch on the CPU: in memory, and with --stream. Prints the peak of the resident memory of
each run, which must stay below 2 GiB and 500 MiB, its seconds, and those that Python's csv takes to go through the file.
"""

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMITS = {"in memory": 2048, "--stream": 500}


def make(path: Path, rows: int, columns: int) -> None:
    dice = random.Random(7)
    with path.with_suffix(".part").open("w") as file:
        file.write(",".join(f"x{i}" for i in range(columns - 1)) + ",y\n")
        for _ in range(rows):
            values = [dice.gauss(0, 10) for _ in range(columns - 1)]
            label = int(values[0] + values[1] + dice.gauss(0, 5) > 0)
            file.write(",".join(f"{value:.6f}" for value in values) + f",{label}\n")
    path.with_suffix(".part").rename(path)


def run(wgrad: str, path: Path, options: list[str], folder: str) -> tuple[float, float]:
    """MiB and seconds."""
    command = [wgrad, "train", str(path), "--target", "y", "--epochs", "1", "--batch-size", "1024", "--device", "cpu",
               "--quiet", "--out", f"{folder}/model", *options]
    begin = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begin
    if status != 0:
        sys.exit(f"{' '.join(command)} failed")
    return usage.ru_maxrss / 1024, seconds


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--wgrad", default="target/release/wgrad")
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--columns", type=int, default=30)
    options = arguments.parse_args()
    path = Path(tempfile.gettempdir()) / f"wgrad-{options.rows}x{options.columns}.csv"
    if not path.exists():
        make(path, options.rows, options.columns)
    print(f"{path}: {path.stat().st_size / 2**20:.0f} MiB")
    begin = time.perf_counter()
    with path.open() as file:
        rows = sum(1 for _ in csv.reader(file))
    print(f"Python's csv.reader: {rows} lines in {time.perf_counter() - begin:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        for name, limit in LIMITS.items():
            more = [name] if name.startswith("--") else []
            peak, seconds = run(options.wgrad, path, more, folder)
            print(f"wgrad train, {name}: {peak:.0f} MiB (limit {limit}), {seconds:.1f} s for reading and one epoch")
            if peak > limit:
                sys.exit("too much memory")


main()
