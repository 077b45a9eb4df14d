#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures how the cost of training grows, and writes docs/performance-growth.md and a plot beside it.

    Benchmarks/growth.py                      # everything, some minutes
    Benchmarks/growth.py --only rank --steps 1

One quantity at a time is changed, the others stay at sequence length 256, batch 8, all layers, rank 4.
Layers are counted from the top: 1 is the last one alone, the number of layers is all of them.
"""
import argparse
import json
import os
import pathlib
import sys

from harness import machine, plot, process, reft

HERE = pathlib.Path(__file__).resolve().parent
BASE = {"sequence-length": 256, "batch": 8, "layers": "all", "rank": 4}


def sweeps(layers):
    """Title, varied option, and the values to try."""
    top = lambda n: ";".join(str(i) for i in range(layers - n, layers))
    counts = sorted({n for n in (1, 2, 3, 5, 10, 20, layers) if n <= layers})
    return {
        "sequence": ("sequence length (one sequence)", "sequence-length", {n: n for n in (64, 128, 256, 512, 1024, 2048, 4096)}, {"batch": 1}),
        "batch": ("batch (sequences of 256)", "batch", {n: n for n in (1, 2, 4, 8, 16)}, {}),
        "layers": ("edited layers, from the top", "layers", {n: top(n) for n in counts}, {}),
        "rank": ("rank", "rank", {n: n for n in (1, 2, 4, 8, 16, 32, 64)}, {}),
    }


def measure(settings, name, sweep):
    """One point per value: tokens per second and peak memory."""
    title, option, values, others = sweep
    points = []
    for x, value in values.items():
        chosen = {**BASE, **others, option: value}
        flags = [text for key, one in chosen.items() for text in (f"--{key}", str(one))]
        made = reft.bench(settings, "train", *flags, "--positions", "f7+l7", "--steps", str(settings.steps))
        points.append({"x": x, "tokens_per_second": made["tokens_per_second"], "peak_rss_bytes": made["peak_rss_bytes"],
                       "fraction_of_gemm_peak": made.get("fraction_of_gemm_peak")})
        print(f"{name} {x}: {made['tokens_per_second']:.0f} tok/s, {made['peak_rss_bytes'] / 1e6:.0f} MB", file=sys.stderr, flush=True)
    return {"title": title, "points": points}


def markdown(kept, image):
    """The tables, with what they were measured on."""
    m = kept["machine"]
    lines = [
        "# How the cost grows", "",
        "Made by `Benchmarks/growth.py`; do not edit. LoReFT training on "
        f"`{kept['model']}`, positions f7+l7, {m['processor']}, {m['cores']} cores, {m['date']}.",
        "Where nothing else is said: sequences of 256 tokens, batch 8, all layers, rank 4.", "", f"![tokens per second and memory]({image})", "",
    ]
    for sweep in kept["sweeps"].values():
        lines += [f"## {sweep['title'][0].upper()}{sweep['title'][1:]}", "", "| | tokens/s | peak memory | of the GEMM peak |", "|---:|---:|---:|---:|"]
        for p in sweep["points"]:
            part = f"{100 * p['fraction_of_gemm_peak']:.0f} %" if p.get("fraction_of_gemm_peak") else ""
            lines.append(f"| {p['x']:,} | {p['tokens_per_second']:,.0f} | {p['peak_rss_bytes'] / 1e6:,.0f} MB | {part} |")
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    home = pathlib.Path(os.environ.get("REFT_HOME") or pathlib.Path.home() / ".cache/reft")
    parser.add_argument("--model", default=os.environ.get("REFT_TEST_MODEL") or str(home / "models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--reft", default=str(HERE.parent / ".build/release/reft"))
    parser.add_argument("--only", choices=("sequence", "batch", "layers", "rank"), action="append")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--results", default=str(HERE / "growth.json"), help="figures; points of sweeps not run again are kept")
    parser.add_argument("--docs", default=str(HERE.parent / "docs"))
    settings = parser.parse_args()
    results = pathlib.Path(settings.results)
    kept = json.loads(results.read_text()) if results.exists() else {"sweeps": {}}
    try:
        info, _, _ = process.run_json([settings.reft, "model", "info", settings.model, "--json"])
        for name, sweep in sweeps(info["layers"]).items():
            if not settings.only or name in settings.only:
                kept["sweeps"][name] = measure(settings, name, sweep)
    except (process.Failed, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    kept["machine"], kept["model"] = machine.describe(), pathlib.Path(settings.model).name
    results.write_text(json.dumps(kept, indent=1) + "\n")
    docs = pathlib.Path(settings.docs)
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "performance-growth.svg").write_text(plot.panels(kept["sweeps"]))
    (docs / "performance-growth.md").write_text(markdown(kept, "performance-growth.svg"))


if __name__ == "__main__":
    main()
