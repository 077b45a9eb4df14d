#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Scores the adapters of a sweep: on several files of one model, or by the length of the answer.

    scores.py transfer SWEEP ROWS MODEL...   each adapter, and the model alone, on each model
    scores.py lengths SWEEP ROWS MODEL       the loss of a token in each quarter of the rows by length

Prints a line for each setting: the mean of its seeds, and their deviation. `reft` is taken from the PATH, or from $REFT.
"""

import collections
import glob
import json
import os
import re
import statistics
import subprocess
import sys

REFT = os.environ.get("REFT", "reft")


def score(model, rows, adapter, template):
    words = [REFT, "score", "--model", model, "--data", rows, "--json"]
    words += ["--adapter", adapter] if adapter else ["--template", template]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def adapters(sweep):
    """The settings of a sweep with the adapter folders of their seeds; None is the model alone."""
    found = collections.OrderedDict({"frozen": [None]})
    for folder in sorted(glob.glob(os.path.join(sweep, "runs", "*", "adapter"))):
        name = os.path.basename(os.path.dirname(folder))
        found.setdefault(re.sub(r",seed=.*", "", name), []).append(folder)
    return found


def template(sweep):
    """The wording that the runs were trained in."""
    text = open(glob.glob(os.path.join(sweep, "runs", "*", "config.yaml"))[0], encoding="utf-8").read()
    return json.loads(re.search(r"^\s*template: (\".*\")$", text, re.M)[1])


def quarters(scored, bounds):
    sums = [[0.0, 0] for _ in range(4)]
    for row in scored["rows"]:
        part = sums[sum(row["tokens"] > bound for bound in bounds)]
        part[0] += row["loss"] * row["tokens"]
        part[1] += row["tokens"]
    return [total / tokens if tokens else float("nan") for total, tokens in sums]


def shown(values):
    """Mean and deviation of several seeds."""
    mean = f"{statistics.mean(values):.4f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.4f}"


def main():
    what, sweep, rows, *models = sys.argv[1:]
    wording = template(sweep)
    bounds = None
    for name, folders in adapters(sweep).items():
        columns = []
        for model in models:
            scored = [score(model, rows, folder, wording) for folder in folders]
            if what == "lengths":
                if bounds is None:
                    tokens = sorted(row["tokens"] for row in scored[0]["rows"])
                    bounds = [tokens[len(tokens) * i // 4] for i in (1, 2, 3)]
                    print("tokens of the answer: up to", *bounds, "and", tokens[-1])
                columns += map(shown, zip(*(quarters(one, bounds) for one in scored)))
            columns.append(shown([one["loss"] for one in scored]))
        print(name, *columns, sep="\t", flush=True)


main()
