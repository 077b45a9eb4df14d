#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the reference numbers of heads, ties, untied positions and weights: loss and gradients of one
batch of the tiny llama of ../tiny/llama, each edit written out in PyTorch and derived by autograd.

    python make_places.py        (torch, transformers, safetensors)

places.json has the cases as configurations have them, and their losses; places.safetensors the parameters
(`case/name`) and their gradients (`grad/case/name`) under the names of adapter files. All edits are
LoReFT, h + R^T (W h + b - R h), with unconstrained gradients.
"""
import json
import os

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "..", "tiny", "llama")
RANK = 2

CASES = [
    {"name": "query-head", "component": "query_output", "layers": [1], "heads": [2]},
    {"name": "key-heads", "component": "key_output", "layers": [0, 1], "heads": [0, 1]},
    {"name": "value-head", "component": "value_output", "layers": [0], "heads": [1]},
    {"name": "attention-heads", "component": "attention_value_output", "layers": [0, 1],
     "heads": [0, 3], "tie": ["heads"]},
    {"name": "tied-layers", "component": "block_output", "layers": [0, 1], "tie": ["layers"]},
    {"name": "tied-all", "component": "value_output", "layers": [0, 1], "heads": [0, 1],
     "tie": ["heads", "layers"]},
    {"name": "ends", "component": "block_output", "layers": [0], "share_weights": "false"},
    {"name": "untied", "component": "block_output", "layers": [0, 1], "share_weights": "none"},
    {"name": "weights", "component": "block_output", "layers": [0, 1], "share_weights": "none",
     "positions": "f2*0.5+l2*-1"},
]


def seeded(shape, seed, scale=1.0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


def places(prompt, case):
    """(token, name of its parameter set, weight) of f2+l2, each end clipped to half the prompt."""
    half = min(2, prompt // 2)
    found = [(i, "prefix", i) for i in range(half)]
    found += [(prompt - half + i, "suffix", 4 - half + i) for i in range(half)]
    weights = {"prefix": 0.5, "suffix": -1.0} if case["name"] == "weights" else {}
    for token, end, location in found:
        sharing = case.get("share_weights", "true")
        part = {"true": "", "false": f".{end}", "none": f".positions.{location}"}[sharing]
        yield token, part, weights.get(end, 1.0)


def module(model, layer, component):
    """Where a component is, and whether it is what the module reads."""
    block = model.model.layers[layer]
    attention = block.self_attn
    return {
        "block_output": (block, False), "query_output": (attention.q_proj, False),
        "key_output": (attention.k_proj, False), "value_output": (attention.v_proj, False),
        "attention_value_output": (attention.o_proj, True),
    }[component]


def parameters(case, width):
    """The parameter sets of a case by the beginning of their names."""
    tie = case.get("tie", [])
    made = {}
    layers = ["all"] if "layers" in tie else case["layers"]
    heads = [""]
    if "heads" in case:
        heads = [".heads.all"] if "heads" in tie else [f".heads.{h}" for h in case["heads"]]
    parts = {"true": [""], "false": [".prefix", ".suffix"],
             "none": [f".positions.{i}" for i in range(4)]}[case.get("share_weights", "true")]
    for layer in layers:
        for head in heads:
            for part in parts:
                seed = 10 * len(made) + 100 * CASES.index(case)
                basis = torch.linalg.qr(seeded((width, RANK), seed))[0].T.contiguous()
                made[f"interventions.0.layers.{layer}{head}{part}"] = {
                    "rotate.weight": torch.nn.Parameter(basis),
                    "source.weight": torch.nn.Parameter(seeded((RANK, width), seed + 1, 0.3)),
                    "source.bias": torch.nn.Parameter(seeded((RANK,), seed + 2)),
                }
    return made


def edit(p, h):
    e = h @ p["source.weight"].T + p["source.bias"] - h @ p["rotate.weight"].T
    return h + e @ p["rotate.weight"]


def edited(case, sets, layer, size, prompts, h):
    new = h.clone()
    tie = case.get("tie", [])
    name = "interventions.0.layers." + ("all" if "layers" in tie else str(layer))
    for sequence, prompt in enumerate(prompts):
        for token, part, weight in places(prompt, case):
            for head in case.get("heads", [None]):
                columns = slice(None) if head is None else slice(head * size, (head + 1) * size)
                of = "" if head is None else f".heads.{'all' if 'heads' in tie else head}"
                row = h[sequence, token, columns]
                change = edit(sets[name + of + part], row) - row
                new[sequence, token, columns] = row + weight * change
    return new


def main():
    with open(os.path.join(TINY, "expected.json")) as file:
        facts = json.load(file)
    model = AutoModelForCausalLM.from_pretrained(TINY, torch_dtype=torch.float32).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    config = model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    length = max(facts["lengths"])
    pad = lambda rows, value: torch.tensor([row + [value] * (length - len(row)) for row in rows])
    ids, labels = pad(facts["ids"], 0), pad(facts["labels"], -100)
    mask = pad([[1] * n for n in facts["lengths"]], 0)
    prompts = [next(i for i, label in enumerate(row) if label != -100) for row in facts["labels"]]

    tensors, described = {}, []
    for case in CASES:
        sets = parameters(case, size if "heads" in case else config.hidden_size)
        handles = []
        for layer in case["layers"]:
            place, reads = module(model, layer, case["component"])

            def change(out, layer=layer):
                h = out[0] if isinstance(out, tuple) else out
                new = edited(case, sets, layer, size, prompts, h)
                return (new, *out[1:]) if isinstance(out, tuple) else new

            if reads:
                handles.append(place.register_forward_pre_hook(lambda _, x, f=change: (f(x[0]),)))
            else:
                handles.append(place.register_forward_hook(lambda _, __, out, f=change: f(out)))
        loss = model(ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        for handle in handles:
            handle.remove()
        for place, values in sets.items():
            for key, value in values.items():
                tensors[f"{case['name']}/{place}.{key}"] = value.detach().contiguous()
                tensors[f"grad/{case['name']}/{place}.{key}"] = value.grad.contiguous()
        described.append({"positions": "f2+l2", "share_weights": "true", "heads": None, "tie": [],
                          **case, "loss": loss.item()})
        print(case["name"], loss.item())
    save_file(tensors, os.path.join(HERE, "places.safetensors"))
    with open(os.path.join(HERE, "places.json"), "w") as file:
        json.dump({"rank": RANK, "cases": described}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
