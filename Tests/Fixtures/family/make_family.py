#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the reference numbers of the plugins beside the paper's: loss and gradients of one batch of
the tiny llama of ../tiny/llama, each edit written out in PyTorch and derived by autograd.

    python make_family.py        (torch, transformers, safetensors)

family.json has the cases with their options, positions and loss, family.safetensors the parameters
(`case.name`) and their gradients (`grad.case.name`), under the names of the plugins. The edit is at
block_output of block 1, its positions are the first and last two of the prompt. Gradients are those
of unconstrained parameters. `das` and `interchange` take the rows of the next sequence's prompt in the
frozen model. Where a case has an `auxiliary` loss, the gradients are those of loss +
auxiliary, the latter being a sum over the edited rows divided by the number of sequences.
"""
import json
import os

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "..", "tiny", "llama")
LAYER = 1
relu = torch.relu


def seeded(shape, seed, scale=1.0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


def orthonormal(rows, width, seed):
    return torch.linalg.qr(seeded((width, rows), seed))[0].T.contiguous()


def red(p, h):
    return h * p["scale"] + p["bias"]


def ablate(p, h):
    return h - 0.75 * (h @ p["directions"].T) @ p["directions"]


def clamp(p, h):
    return h + (p["values"] - h @ p["directions"].T) @ p["directions"]


def affine(p, h):
    a = h @ p["directions"].T
    return h + (a * p["scale"] + p["shift"] - a) @ p["directions"]


def norm_steering(p, h):
    u = h + 1.5 * p["vector"]
    return u * h.norm(dim=-1, keepdim=True) / u.norm(dim=-1, keepdim=True)


def read_out(p, h):
    return relu(h @ p["source.weight"].T + p["source.bias"])


def r1(p, h):
    return h + read_out(p, h) @ p["proj.weight"]


def r1_top(p, h):
    e = read_out(p, h)
    kept = torch.zeros_like(e).scatter(-1, e.topk(2, dim=-1).indices, 1.0)
    return h + (e * kept) @ p["proj.weight"]


def l1(p, h):
    return 0.3 * read_out(p, h).abs().sum()


def l1_rest(p, h):
    """Of the read-outs that r1_top leaves out."""
    e = read_out(p, h)
    return 0.2 * e.scatter(-1, e.topk(2, dim=-1).indices, 0.0).abs().sum()


def subspace(p, h):
    e = h @ p["source.weight"].T + p["source.bias"] - h @ p["rotate.weight"].T
    return h + (e * torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0])) @ p["rotate.weight"]


def das(p, h, s):
    return h + ((s - h) @ p["rotate.weight"].T) @ p["rotate.weight"]


def interchange(p, h, s):
    new = h.clone()
    new[:, 3:17], new[:, 20] = s[:, 3:17], s[:, 20]
    return new


def cases(d):
    sparse = lambda r, seed: {
        "proj.weight": torch.nn.functional.normalize(seeded((r, d), seed), dim=-1),
        "source.weight": seeded((r, d), seed + 1, 0.3), "source.bias": seeded((r,), seed + 2, 0.3),
    }
    return [
        ("red", "red", {}, red, {"scale": 1 + seeded((d,), 1, 0.2), "bias": seeded((d,), 2, 0.2)}),
        ("ablate", "ablate", {"rank": 2, "strength": 0.75}, ablate,
         {"directions": orthonormal(2, d, 3)}),
        ("clamp", "clamp", {"rank": 3, "value": 1.0}, clamp,
         {"directions": orthonormal(3, d, 4), "values": seeded((3,), 5)}),
        ("affine", "affine", {"rank": 2}, affine,
         {"directions": orthonormal(2, d, 6), "shift": seeded((2,), 7), "scale": seeded((2,), 8)}),
        ("norm-steering", "norm-steering", {"alpha": 1.5}, norm_steering,
         {"vector": seeded((d,), 9, 0.3)}),
        ("reft-r1", "reft-r1", {}, r1, sparse(1, 10)),
        ("reft-r1-top", "reft-r1", {"rank": 6, "top_k": 2}, r1_top, sparse(6, 20)),
        ("reft-r1-l1", "reft-r1", {"rank": 3, "l1": 0.3}, r1, sparse(3, 40), l1),
        ("reft-r1-top-l1", "reft-r1", {"rank": 6, "top_k": 2, "l1": 0.2}, r1_top, sparse(6, 50),
         l1_rest),
        ("das", "das", {"rank": 4}, das, {"rotate.weight": orthonormal(4, d, 60)}),
        ("interchange", "interchange", {"dimensions": "3-16,20"}, interchange, {}),
        ("subspace", "loreft", {"rank": 5, "subspace": "0-1,3"}, subspace,
         {"rotate.weight": orthonormal(5, d, 30), "source.weight": seeded((5, d), 31, 0.2),
          "source.bias": seeded((5,), 32)}),
    ]


def main():
    with open(os.path.join(TINY, "expected.json")) as file:
        facts = json.load(file)
    model = AutoModelForCausalLM.from_pretrained(TINY, torch_dtype=torch.float32).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    length = max(facts["lengths"])
    pad = lambda rows, value: torch.tensor([row + [value] * (length - len(row)) for row in rows])
    ids, labels = pad(facts["ids"], 0), pad(facts["labels"], -100)
    mask = pad([[1] * n for n in facts["lengths"]], 0)

    # The source prompt of each sequence is that of the next one, in the frozen model.
    states = model(ids, attention_mask=mask, output_hidden_states=True).hidden_states[LAYER + 1]
    count = len(facts["positions"])
    sources = [states[(n + 1) % count, facts["positions"][(n + 1) % count]] for n in range(count)]

    tensors, described = {}, []
    for name, plugin, options, edit, parameters, *losses in cases(model.config.hidden_size):
        terms = []
        parameters = {key: torch.nn.Parameter(value) for key, value in parameters.items()}

        def hook(_, __, out):
            h = out[0] if isinstance(out, tuple) else out
            new = h.clone()
            for sequence, positions in enumerate(facts["positions"]):
                own = h[sequence, positions]
                takes = [sources[sequence]] if edit in (das, interchange) else []
                new[sequence, positions] = edit(parameters, own, *takes)
                terms.extend(term(parameters, own) for term in losses)
            return (new, *out[1:]) if isinstance(out, tuple) else new

        handle = model.model.layers[LAYER].register_forward_hook(hook)
        loss = model(ids, attention_mask=mask, labels=labels).loss
        auxiliary = sum(terms) / len(facts["positions"])
        if parameters:
            (loss + auxiliary).backward()
        handle.remove()
        for key, value in parameters.items():
            tensors[f"{name}.{key}"] = value.detach().contiguous()
            tensors[f"grad.{name}.{key}"] = value.grad.contiguous()
        described.append({"name": name, "plugin": plugin, "options": options, "loss": loss.item()})
        if losses:
            described[-1]["auxiliary"] = auxiliary.item()
        print(name, loss.item(), float(auxiliary))
    save_file(tensors, os.path.join(HERE, "family.safetensors"))
    with open(os.path.join(HERE, "family.json"), "w") as file:
        json.dump({"layer": LAYER, "cases": described}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
