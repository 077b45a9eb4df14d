#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the README's table of figures from the results file that run.py writes.

    Benchmarks/table.py                       # prints it
    Benchmarks/table.py --write README.md     # puts it between the two benchmark markers
    Benchmarks/table.py --check README.md     # code 1 when README.md says something else
"""
import argparse
import json
import pathlib
import sys

from harness.rows import ROWS

HERE = pathlib.Path(__file__).resolve().parent
BEGIN = "<!-- benchmarks: begin, made by Benchmarks/table.py -->"
END = "<!-- benchmarks: end -->"


def figure(side, unit):
    """The median of one side, and how far its rounds lay apart."""
    scale, form = {"GB": (1e9, "{:.2f}"), "s": (1, "{:.3f}"), "ms": (1, "{:,.2f}")}.get(unit, (1, "{:,.0f}"))
    text = form.format(side["median"] / scale)
    if unit == "tok/s" and side["median"] < 100:
        text = f"{side['median']:.1f}"
    spread = (side["highest"] - side["lowest"]) / side["median"]
    return f"{text} {unit}" + (f" (±{50 * spread:.0f} %)" if spread >= 0.02 else "")


def machines(rows):
    """One sentence per machine and date that the rows were measured on."""
    lines = []
    for document in rows.values():
        m = document["machine"]
        memory = f", {m['memory_bytes'] / 2**30:.0f} GiB" if m.get("memory_bytes") else ""
        line = f"{m['processor']}, {m['cores']} cores ({', '.join(m['instructions'])}){memory}, {m['system']}, {m['date']}"
        if line not in lines:
            lines.append(line)
    return lines


def versions(rows):
    """Which versions of the peers were run."""
    seen = {}
    for document in rows.values():
        for samples in document["samples"].values():
            for sample in samples:
                seen.update(sample.get("versions") or {})
    return ", ".join(f"{name} {version}" for name, version in sorted(seen.items()) if version)


def table(kept):
    """The table in Markdown."""
    rows = {name: kept["rows"][name] for name in ROWS if name in kept["rows"]}
    lines = ["| work | peer | reft | ratio | must be |", "|---|---|---|---|---|"]
    for document in rows.values():
        (peer, theirs), (ours_name, ours), *others = document["sides"].items()
        unit = document["unit"]
        beside = "".join(f"; {name.split(', ')[-1]} {figure(side, unit)}" for name, side in others)
        sign = "≥" if document["more_is_better"] else "≤"
        form = "{:.3f}" if document["unit"] == "ms" else "{:.2f}"
        wanted = f"{sign} {document['reach']}" + (f", {sign} {document['limit']} {unit}" if document["limit"] else "")
        ratio = form.format(document["ratio"])
        lines.append(
            f"| {document['work']} | {peer} {figure(theirs, unit)}{beside} | {figure(ours, unit)} "
            f"| {'**' + ratio + '**' if document['reached'] else ratio + ' ✗'} | {wanted} |"
        )
    lines += ["", "Medians, both sides run alternately on " + "; ".join(machines(rows)) + "."]
    if versions(rows):
        lines.append(f"Peers: {versions(rows)}.")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", default=str(HERE / "results.json"))
    parser.add_argument("--write", metavar="FILE")
    parser.add_argument("--check", metavar="FILE")
    a = parser.parse_args()
    try:
        made = table(json.loads(pathlib.Path(a.results).read_text()))
    except FileNotFoundError:
        sys.exit(f"error: no results at {a.results}; make them with Benchmarks/run.py all")
    if not (a.write or a.check):
        print(made)
        return
    path = pathlib.Path(a.write or a.check)
    text = path.read_text()
    if BEGIN not in text or END not in text.split(BEGIN, 1)[1]:
        sys.exit(f"error: {path} lacks the lines\n{BEGIN}\n{END}")
    head, rest = text.split(BEGIN, 1)
    new = f"{head}{BEGIN}\n{made}\n{END}{rest.split(END, 1)[1]}"
    if a.check:
        sys.exit(0 if new == text else f"error: {path} does not agree with {a.results}; run Benchmarks/table.py --write {path}")
    path.write_text(new)


if __name__ == "__main__":
    main()
