#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks that pack.sh gathered, on a machine without Swift, compilers and network.

    python3 reft-bench/Benchmarks/away.py --model M.gguf --budget 540     # again and again, until the code is 0
    python3 reft-bench/Benchmarks/away.py --model M.gguf --wheels wheels  # pyreft from a folder of wheels

Each part is pinned to so many cores. All results are JSON in one folder: two-cores.json and threads-N.json as
run.py writes them, scaling-N.json as `reft bench scaling` prints it. What is there is not measured again.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

from harness import machine

HERE = pathlib.Path(__file__).resolve().parent
PACK = HERE.parent
# Rows of the table; those that want pyreft last, since it is slow and may be missing.
TABLE = ["prefill", "decode", "short", "decode-batch", "first-token", "formats", "train-all", "memory-all"]
EACH = ["prefill", "decode", "train-all"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--results", default=str(PACK / "results"))
    parser.add_argument("--budget", type=float, default=1e9, metavar="SECONDS", help="begin nothing later; the code is 75 when something is left")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", default="", help="numbers such as 1,16; without it, powers of two up to the cores")
    parser.add_argument("--parts", default="table,scaling,threads", help="which of these, in their order")
    parser.add_argument("--wheels", help="a folder of wheels, from which pyreft is installed into a venv over this Python's packages")
    parser.add_argument("--python", default=sys.executable, help="the Python that has pyreft")
    return parser.parse_args()


def pyreft(a):
    """The Python for pyreft; with wheels a venv over the packages of this one."""
    python = a.python
    if a.wheels:
        python = str(PACK / "pyreft-venv/bin/python")
        if not pathlib.Path(python).exists():
            subprocess.run([a.python, "-m", "venv", "--system-site-packages", PACK / "pyreft-venv"], check=True)
    fault = pyreft_fault(python)
    if fault and a.wheels:
        listed = subprocess.run([python, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True, check=True)
        # What the machine has stays: its other packages were made for it.
        have = {one["name"].lower().replace("-", "_").replace(".", "_") for one in json.loads(listed.stdout)}
        chosen = [w for w in sorted(pathlib.Path(a.wheels).glob("*.whl")) if w.name.split("-")[0].lower() not in have]
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", *chosen], check=True)
        fault = pyreft_fault(python)
    if fault:
        print(f"pyreft does not run here, its rows will fail: {fault}", file=sys.stderr)
    return python


def pyreft_fault(python):
    """Why a Python cannot run the peer; nothing when it can."""
    said = subprocess.run([python, "-c", "import pyreft, pyreft.dataset, gguf"], capture_output=True, text=True)
    return (said.stderr.strip().splitlines() or ["?"])[-1] if said.returncode else ""


class Runner:
    """Starts one command after the other until the time is over."""

    def __init__(self, a):
        self.a = a
        self.end = time.monotonic() + a.budget
        self.cores = sorted(os.sched_getaffinity(0))
        self.left, self.failed = [], []
        self.environment = {
            **os.environ, "REFT_BENCH_DIR": str(PACK / "peers"),
            "LD_LIBRARY_PATH": f"{PACK / 'peers/lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}",
        }

    def run(self, name, threads, command, output=None):
        """Runs a command on so many cores; `output` takes what it prints, once it has ended well."""
        if time.monotonic() > self.end:
            self.left.append(name)
            return
        print(f"{name}, {threads} cores", file=sys.stderr, flush=True)
        cores = ",".join(map(str, self.cores[:threads]))
        done = subprocess.run(
            ["taskset", "-c", cores, *command], env={**self.environment, "REFT_THREADS": str(threads)},
            stdout=subprocess.PIPE if output else None, text=True,
        )
        if done.returncode == 75:
            self.left.append(name)
        elif done.returncode != 0:
            self.failed.append(name)
        elif output:
            output.write_text(done.stdout)

    def rows(self, names, threads, results):
        """Rows of run.py with so many threads."""
        for name in names:
            if name.startswith(("train", "memory")) and time.monotonic() < self.end and "REFT_BENCH_PYTHON" not in self.environment:
                self.environment["REFT_BENCH_PYTHON"] = pyreft(self.a)
            budget = max(0.001, self.end - time.monotonic())
            self.run(f"{results.stem}: {name}", threads, [
                sys.executable, str(HERE / "run.py"), name, "--model", self.a.model, "--reft", str(PACK / "bin/reft"),
                "--data", str(PACK / "data/train.jsonl"), "--threads", str(threads), "--results", str(results),
                "--resume", "--budget", f"{budget:.3f}",
                *([] if name.startswith(("train", "memory")) else ["--rounds", str(self.a.rounds)]),
            ])


def main():
    a = arguments()
    results = pathlib.Path(a.results)
    results.mkdir(parents=True, exist_ok=True)
    (results / "machine.json").write_text(json.dumps(machine.describe(), indent=1) + "\n")
    runner = Runner(a)
    most = len(runner.cores)
    powers = [n for n in (1, 2, 4, 8, 16, 32, 64, 128) if n < most] + [most]
    counts = [int(n) for n in a.threads.split(",")] if a.threads else powers
    if max(counts) > most:
        sys.exit(f"error: --threads {a.threads} asks for more than the {most} cores of this machine")
    parts = a.parts.split(",")
    if "table" in parts:
        runner.rows(TABLE, min(2, most), results / "two-cores.json")
    if "scaling" in parts:
        for n in counts:
            output = results / f"scaling-{n}.json"
            if not output.exists():
                runner.run(f"scaling {n}", n, [str(PACK / "bin/reft"), "bench", "scaling", "--model", a.model, "--threads", str(n), "--json"], output)
    if "threads" in parts:
        for n in reversed(counts):
            runner.rows(EACH, n, results / f"threads-{n}.json")
    if runner.failed:
        print(f"failed: {'; '.join(runner.failed)}", file=sys.stderr)
    if runner.left:
        print(f"left for the next call: {'; '.join(runner.left)}", file=sys.stderr)
        sys.exit(75)
    sys.exit(1 if runner.failed else 0)


if __name__ == "__main__":
    main()
