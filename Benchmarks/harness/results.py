# SPDX-License-Identifier: Apache-2.0
"""Rounds, medians, and the file that keeps them."""
import json
import os
import pathlib
import statistics

from . import machine


def alternate(rounds, sides, progress, samples=None, goes_on=lambda: True):
    """Runs every side once per round, the order turned around from round to round.

    `sides` is a dictionary from name to a function without arguments. Rounds that `samples` holds already
    are not run again; no round begins once `goes_on` says no. Returns name to list of samples.
    """
    samples = samples or {name: [] for name in sides}
    for number in range(min(map(len, samples.values())), rounds):
        if not goes_on():
            break
        order = list(sides) if number % 2 == 0 else list(reversed(sides))
        for name in order:
            sample = sides[name]()
            samples[name].append(sample)
            progress(number + 1, name, sample)
    return samples


def kept(path, row, conditions):
    """The samples that an earlier run left of a row, as far as every side has them and nothing else has changed."""
    path = pathlib.Path(path)
    document = json.loads(path.read_text())["rows"].get(row) if path.exists() else None
    if not document or document.get("conditions") != conditions:
        return None
    rounds = min(map(len, document["samples"].values()))
    return {name: list_of[:rounds] for name, list_of in document["samples"].items()}


def summary(samples, figure):
    """Median, lowest and highest of one figure for every side."""
    made = {}
    for name, list_of in samples.items():
        values = [one[figure] for one in list_of]
        made[name] = {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}
    return made


def store(path, row, document):
    """Puts one row into the results file, leaving the other rows as they are."""
    path = pathlib.Path(path)
    kept = json.loads(path.read_text()) if path.exists() else {"rows": {}}
    kept["rows"][row] = {"machine": machine.describe(), **document}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(kept, indent=1) + "\n")
    os.replace(temporary, path)
