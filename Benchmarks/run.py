#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures us against the peers, one row of the README's table per command.

    Benchmarks/run.py train-all          # against pyreft; train-top, memory
    Benchmarks/run.py prefill            # against llama.cpp; decode, first-token
    Benchmarks/run.py gemma              # the same two for Gemma 3; formats: for Q4_0, Q8_0, Q4_K_M, F16
    Benchmarks/run.py decode-batch       # against ourselves; abi-overhead
    Benchmarks/run.py all --rounds 3

The peer is set up in ${REFT_BENCH_DIR:-~/.cache/reft/bench} when it is missing. Both sides run alternately; medians, their ratio
and what the ratio must reach are printed, and kept in the results file that table.py reads.
Needs nothing but Python 3.10 and a release build (`swift build -c release`).
"""
import argparse
import json
import os
import pathlib
import sys

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
    documents, shared = {}, {}
    for name in names:
        row = ROWS[name]
        key = name.split("-", 1)[1] if name.startswith(("train-", "memory-")) else name
        if key not in shared:
            rounds = settings.rounds or (1 if name.startswith(("train", "memory")) else 3)
            shared[key] = results.alternate(
                rounds, row.sides(settings), lambda n, side, one: say(f"  round {n} {side}: {shown(one[row.figure], row.unit)}")
            )
        sides = results.summary(shared[key], row.figure)
        ratio, reached = judge(row, sides)
        documents[name] = {
            "work": row.work, "figure": row.figure, "unit": row.unit, "sides": sides, "ratio": ratio, "reach": row.reach,
            "limit": row.limit, "more_is_better": row.more_is_better, "reached": reached, "load_before": settings.load, "samples": shared[key],
        }
        if not settings.no_store:
            results.store(settings.results, name, documents[name])
        if not settings.json:
            figures = " · ".join(f"{side} {shown(value['median'], row.unit)}" for side, value in sides.items())
            sign = "≥" if row.more_is_better else "≤"
            print(f"{row.work}: {figures} · ratio {ratio:.3g} (must be {sign} {row.reach}: {'yes' if reached else 'NO'})", flush=True)
    return documents


def main():
    settings = arguments()
    settings.load = machine.load()
    names = list(ROWS) if settings.row == "all" else GROUPS.get(settings.row, [settings.row])
    check(settings, names)
    try:
        documents = measure(names, settings)
    except process.Failed as error:
        sys.exit(f"error: {error}")
    if settings.json:
        json.dump({"machine": machine.describe(), "rows": documents}, sys.stdout, indent=1)
        print()


if __name__ == "__main__":
    main()
