#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures memory and rate for models of several sizes, and writes docs/performance-sizes.md.

    Benchmarks/sizes.py                        # 135M (the real one), 1B in Q4_1 and in Q8_0
    Benchmarks/sizes.py --sizes 1b-q4_1 7b-q4_1

The large models are random weights made by make_synthetic_gguf.py in the scratch folder (0.7, 1.1 and 4.3 GB);
they are kept there for the next run.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

from harness import machine, peers, process, reft

HERE = pathlib.Path(__file__).resolve().parent
ONE = ["--blocks", "16", "--width", "2048", "--heads", "32", "--kv-heads", "8", "--ffn", "8192"]
SEVEN = ["--blocks", "32", "--width", "4096", "--heads", "32", "--kv-heads", "32", "--ffn", "11008"]
SHAPES = {"1b-q4_1": [*ONE, "--type", "Q4_1"], "1b-q8_0": [*ONE, "--type", "Q8_0"], "7b-q4_1": [*SEVEN, "--type", "Q4_1"]}
WORK = {
    "prefill 128": ("prefill", ["--tokens", "128", "--repeat", "1"]),
    "decode after 64": ("decode", ["--context", "64", "--tokens", "32", "--batch", "1"]),
    "train, one sequence of 256, all layers": (
        "train", ["--sequence-length", "256", "--batch", "1", "--layers", "all", "--rank", "4", "--positions", "f7+l7", "--steps", "1"]
    ),
}


def model(settings, name):
    """The path of a model, made if it is not there."""
    if name == "135m":
        return settings.model
    path = peers.scratch() / "models" / f"synthetic-{name}.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        subprocess.run([sys.executable, HERE / "make_synthetic_gguf.py", "--tokenizer", settings.model, "--out", partial, *SHAPES[name]], check=True)
        partial.rename(path)
    return str(path)


def markdown(kept):
    """One line per model and kind of work."""
    m = kept["machine"]
    lines = [
        "# Memory and rate by model size", "", "Made by `Benchmarks/sizes.py`; do not edit. "
        f"{m['processor']}, {m['cores']} cores, {m['memory_bytes'] / 2**30:.0f} GiB, {m['date']}.",
        "135m is SmolLM2-135M-Instruct; the others are random weights of the llama shape (`make_synthetic_gguf.py`).", "",
        "| model | file | work | tokens/s | peak memory |", "|---|---:|---|---:|---:|",
    ]
    for name, entry in kept["sizes"].items():
        for work, one in entry["work"].items():
            lines.append(f"| {name} | {entry['file_bytes'] / 1e6:,.0f} MB | {work} | {one['tokens_per_second']:,.1f} | {one['peak_rss_bytes'] / 1e6:,.0f} MB |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    home = pathlib.Path(os.environ.get("REFT_HOME") or pathlib.Path.home() / ".cache/reft")
    parser.add_argument("--model", default=os.environ.get("REFT_TEST_MODEL") or str(home / "models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--reft", default=str(HERE.parent / ".build/release/reft"))
    parser.add_argument("--sizes", nargs="+", choices=("135m", *SHAPES), default=["135m", "1b-q4_1", "1b-q8_0"])
    parser.add_argument("--results", default=str(HERE / "sizes.json"), help="figures; models not run again are kept")
    parser.add_argument("--docs", default=str(HERE.parent / "docs"))
    settings = parser.parse_args()
    results = pathlib.Path(settings.results)
    kept = json.loads(results.read_text()) if results.exists() else {"sizes": {}}
    try:
        for name in settings.sizes:
            path = model(settings, name)
            entry = {"file_bytes": os.path.getsize(path), "work": {}}
            for work, (kind, options) in WORK.items():
                made = reft.bench(argparse.Namespace(reft=settings.reft, model=path), kind, *options)
                entry["work"][work] = {"tokens_per_second": made["tokens_per_second"], "peak_rss_bytes": made["peak_rss_bytes"]}
                print(f"{name}: {work}: {made['tokens_per_second']:.1f} tok/s, {made['peak_rss_bytes'] / 1e6:.0f} MB", file=sys.stderr, flush=True)
            kept["sizes"][name] = entry
    except (process.Failed, FileNotFoundError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
    kept["machine"] = machine.describe()
    results.write_text(json.dumps(kept, indent=1) + "\n")
    docs = pathlib.Path(settings.docs)
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "performance-sizes.md").write_text(markdown(kept))


if __name__ == "__main__":
    main()
