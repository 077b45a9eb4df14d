#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures us against the peers, one row of the README's table per command.

    Benchmarks/run.py train-all          # against pyreft; train-top, memory
    Benchmarks/run.py prefill            # against llama.cpp; decode, first-token
    Benchmarks/run.py gemma              # the same two for Gemma 3; formats: for Q4_0, Q8_0, Q4_K_M, F16
    Benchmarks/run.py decode-batch       # against ourselves; abi-overhead
    Benchmarks/run.py all --rounds 3
    Benchmarks/run.py all --rounds 3 --resume --budget 540    # until the code is 0: what is missing, 9 minutes at a time

The peer is set up in ${REFT_BENCH_DIR:-~/.cache/reft/bench} when it is missing. Both sides run alternately; medians, their ratio
and what the ratio must reach are printed, and kept in the results file that table.py reads.
Needs nothing but Python 3.10 and a release build (`swift build -c release`).
"""
import argparse
import hashlib
import json
import os
import pathlib
import sys
import time

from harness import machine, process, results
from harness.rows import GROUPS, ROWS

HERE = pathlib.Path(__file__).resolve().parent
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
GEMMA = "gemma-3-270m.Q4_K_M.gguf"
# 16 tokens for SmolLM2.
PROMPT = "The history of the steam engine begins long before the eighteenth century, when inventors in"


def arguments():
    home = pathlib.Path(os.environ.get("REFT_HOME") or pathlib.Path.home() / ".cache/reft")
    default_model = os.environ.get("REFT_TEST_MODEL") or str(home / "models" / MODEL)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", choices=sorted({*ROWS, *GROUPS, "all"}))
    parser.add_argument("--rounds", type=int, help="default: 3, and 1 for training")
    parser.add_argument("--model", default=default_model)
    parser.add_argument("--gemma", default=str(home / "models" / GEMMA), help="Gemma 3 270M; gemma rows only")
    parser.add_argument("--data", default=os.environ.get("REFT_BENCH_DATA", "../shared/data/gsm8k/train.jsonl"),
                        help="GSM8K's train.jsonl (question, answer); training rows only")
    parser.add_argument("--rows", type=int, default=64, help="how many rows of it")
    parser.add_argument("--reft", default=str(HERE.parent / ".build/release/reft"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--resume", action="store_true", help="go on with the rounds that the results file has of the same program")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="begin no round later; the code is 75 when some are left")
    parser.add_argument("--prompt", default=PROMPT, help=argparse.SUPPRESS)
    parser.add_argument("--results", default=str(HERE / "results.json"))
    parser.add_argument("--no-store", action="store_true", help="print only")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


def check(settings, rows):
    """Says what is missing before anything long begins."""
    if not pathlib.Path(settings.model).is_file():
        sys.exit(f"error: no model at {settings.model}; get it with `reft model pull smollm2` or pass --model")
    if any(r.startswith("gemma") for r in rows) and not pathlib.Path(settings.gemma).is_file():
        sys.exit(f"error: no model at {settings.gemma}; get it with `reft model pull gemma-3-270m` or pass --gemma")
    if not pathlib.Path(settings.reft).is_file():
        sys.exit(f"error: no program at {settings.reft}; build it with `swift build -c release` or pass --reft")
    if any("train" in r or "memory" in r for r in rows if not r.startswith("abi")) and not pathlib.Path(settings.data).is_file():
        sys.exit(f"error: no data at {settings.data}; pass --data with GSM8K's train.jsonl")
    if machine.load() > 0.5:
        print(f"warning: the machine is busy (load {machine.load():.1f}); these figures will not be worth much", file=sys.stderr)


def conditions(settings, name):
    """What must be the same for rounds to be put together: our program, the machine, and what was asked for."""
    program = hashlib.sha256(pathlib.Path(settings.reft).read_bytes()).hexdigest()[:16]
    said = machine.describe()
    model = settings.gemma if name.startswith("gemma") else settings.model
    return {"program": program, "processor": said["processor"], "cores": said["cores"], "threads": settings.threads,
            "model": pathlib.Path(model).name, "rows": settings.rows}


def key(name):
    """What rows of the same runs have in common."""
    return name.split("-", 1)[1] if name.startswith(("train-", "memory-")) else name


def kept(settings, name, held):
    """The rounds that the results file has already, of this row or of one with the same runs."""
    if not settings.resume:
        return None
    found = (results.kept(settings.results, other, held) for other in ROWS if key(other) == key(name))
    return next((samples for samples in found if samples), None)


def judge(row, sides):
    """Ratio of ours (the second side) to the first, and whether it is where it must be."""
    names = list(sides)
    theirs, ours = sides[names[0]]["median"], sides[names[1]]["median"]
    ratio = ours / theirs
    reached = ratio >= row.reach if row.more_is_better else ratio <= row.reach
    if row.limit is not None:
        reached = reached and ours <= row.limit
    return ratio, reached


def shown(value, unit):
    """A figure as people read it."""
    if unit == "GB":
        return f"{value / 1e9:.2f} GB"
    return f"{value:.3f} s" if unit == "s" else f"{value:,.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"


def measure(names, settings):
    """Runs the rows of one group; rows that need the same runs share them."""
    say = lambda text: print(text, file=sys.stderr, flush=True)
    documents, shared, failures, unfinished = {}, {}, {}, []
    goes_on = lambda: not settings.budget or time.monotonic() - settings.began < settings.budget
    for name in names:
        row = ROWS[name]
        rounds = settings.rounds or (1 if name.startswith(("train", "memory")) else 3)
        held = conditions(settings, name)
        if key(name) in failures:
            continue
        try:
            if key(name) not in shared:
                shared[key(name)] = results.alternate(
                    rounds, row.sides(settings), lambda n, side, one: say(f"  {name} round {n} {side}: {shown(one[row.figure], row.unit)}"),
                    kept(settings, name, held), goes_on,
                )
        except process.Failed as error:
            failures[key(name)] = str(error)
            say(f"error: {name}: {error}")
            continue
        samples = shared[key(name)]
        done = min(map(len, samples.values()))
        if done < rounds:
            unfinished.append(name)
        if not done:
            continue
        sides = results.summary(samples, row.figure)
        ratio, reached = judge(row, sides)
        documents[name] = {
            "work": row.work, "figure": row.figure, "unit": row.unit, "sides": sides, "ratio": ratio, "reach": row.reach,
            "limit": row.limit, "more_is_better": row.more_is_better, "reached": reached, "load_before": settings.load, "samples": samples,
            "conditions": held,
        }
        if not settings.no_store:
            results.store(settings.results, name, documents[name])
        if not settings.json:
            figures = " · ".join(f"{side} {shown(value['median'], row.unit)}" for side, value in sides.items())
            sign = "≥" if row.more_is_better else "≤"
            print(f"{row.work}: {figures} · ratio {ratio:.3g} (must be {sign} {row.reach}: {'yes' if reached else 'NO'})", flush=True)
    return documents, failures, unfinished


def main():
    settings = arguments()
    settings.began = time.monotonic()
    # Our program takes its threads from here, the peers from their own options.
    os.environ["REFT_THREADS"] = str(settings.threads)
    # 512 tokens: the prompt has 16, and begins with a word of its own each time.
    settings.long_prompt = " ".join([settings.prompt] * 32)
    settings.load = machine.load()
    names = list(ROWS) if settings.row == "all" else GROUPS.get(settings.row, [settings.row])
    check(settings, names)
    documents, failures, unfinished = measure(names, settings)
    if settings.json:
        json.dump({"machine": machine.describe(), "rows": documents, "failures": failures}, sys.stdout, indent=1)
        print()
    if failures:
        sys.exit(f"error: {len(failures)} of {len(names)} rows could not be measured: {', '.join(failures)}")
    if unfinished:
        print(f"rounds are left of: {', '.join(unfinished)}; run it again with --resume", file=sys.stderr)
        sys.exit(75)


if __name__ == "__main__":
    main()
