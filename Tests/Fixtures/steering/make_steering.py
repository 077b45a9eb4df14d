#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the reference numbers of steering vectors: directions between two sets of token sequences in the
tiny llama of ../tiny/llama, from PyTorch's hidden states with NumPy in double precision, and what a step
along one of them does to the next tokens.

    python make_steering.py        (torch, transformers, safetensors, numpy; scikit-learn checks the probe)

steering.json has the sequences (row i of positives and of negatives are a pair) and the numbers of each
case, steering.safetensors the directions as `case/method`.
"""
import json
import os

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
PAIRS, TRAINING, UNPAIRED, PENALTY = 24, 18, 13, 0.01
CASES = [
    ("last", "block_output", 1, True),
    ("mean", "mlp_output", 2, True),
    ("last", "block_output", 0, False),
]
METHODS = ["mean-difference", "pca-uncentred", "pca-centred", "logistic"]


def sequences():
    """Pairs that share a beginning; what follows comes from two parts of the vocabulary."""
    random = np.random.default_rng(11)
    positives, negatives = [], []
    for _ in range(PAIRS):
        shared = random.integers(3, 320, random.integers(3, 9)).tolist()
        positives.append(shared + random.integers(40, 44, 1).tolist() + [47])
        negatives.append(shared + random.integers(200, 204, 2).tolist() + [207])
    return positives, negatives


def hidden(model, ids, component, layer):
    """[tokens, d] at a site."""
    found = []
    block = model.model.layers[layer]
    module = block if component == "block_output" else block.mlp

    def hook(_, __, out):
        found.append((out[0] if isinstance(out, tuple) else out).detach())

    handle = module.register_forward_hook(hook)
    with torch.no_grad():
        model(torch.tensor([ids]))
    handle.remove()
    out = found[0]
    return (out[0] if out.dim() == 3 else out).double().numpy()


def read(states, position):
    return states[-1] if position == "last" else states[1:].mean(0)


def spread(p, n, paired, centred):
    rows = p - n if paired else np.concatenate([p, n]) - (p.mean(0) + n.mean(0)) / 2
    return rows - rows.mean(0) if centred else rows


def probe(p, n):
    """Newton's method on the loss of the Swift side, whole Hessian."""
    h = np.concatenate([p, n])
    x = h - h.mean(0)
    x /= np.sqrt((x**2).sum(1).mean())
    y = np.concatenate([np.ones(len(p)), -np.ones(len(n))])
    count = len(y)
    a = np.concatenate([x, np.ones((count, 1))], 1)
    ridge = PENALTY * np.diag([1.0] * x.shape[1] + [0.0])
    w = np.zeros(a.shape[1])
    for _ in range(60):
        miss = 1 / (1 + np.exp(y * (a @ w)))
        gradient = -(a.T @ (y * miss)) / count + ridge @ w
        hessian = a.T @ (a * (miss * (1 - miss) / count)[:, None]) + ridge
        w -= np.linalg.solve(hessian, gradient)
    assert np.linalg.norm(gradient) < 1e-12
    other = LogisticRegression(C=1 / (PENALTY * count), tol=1e-10, max_iter=10000).fit(x, y)
    v = other.coef_[0] / np.linalg.norm(other.coef_[0])
    u = w[:-1] / np.linalg.norm(w[:-1])
    assert abs(v - u).max() < 1e-4, abs(v - u).max()
    return w[:-1]


def direction(method, p, n, paired):
    gap = p.mean(0) - n.mean(0)
    if method == "mean-difference":
        v = gap
    elif method == "logistic":
        v = probe(p, n)
    else:
        rows = spread(p, n, paired, method == "pca-centred")
        _, values, vectors = np.linalg.svd(rows, full_matrices=False)
        print("  ", method, "second to first:", (values[1] / values[0]) ** 2)
        v = vectors[0]
    return v / np.linalg.norm(v) * (1 if v @ gap >= 0 else -1)


def auroc(p, n):
    return float(np.mean((p[:, None] > n[None]) + 0.5 * (p[:, None] == n[None])))


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def side_effects(model, ids, vector):
    """Sums over the tokens of one sequence: surprise and KL after a step along a vector at block 1."""
    with torch.no_grad():
        p = log_softmax(model(torch.tensor([ids])).logits[0].double().numpy())[:-1]
    step = torch.tensor(vector).float()
    handle = model.model.layers[1].register_forward_hook(
        lambda _, __, out: (out[0] + step,) + out[1:] if isinstance(out, tuple) else out + step
    )
    with torch.no_grad():
        q = log_softmax(model(torch.tensor([ids])).logits[0].double().numpy())[:-1]
    handle.remove()
    labels = np.array(ids[1:])
    rows = np.arange(len(labels))
    return {
        "surprise": float(-q[rows, labels].sum()),
        "divergence": float((np.exp(p) * (p - q)).sum()),
    }


def main():
    model = AutoModelForCausalLM.from_pretrained(os.path.join(HERE, "..", "tiny", "llama"))
    model = model.eval().float()
    positives, negatives = sequences()
    tensors, cases = {}, []
    step = None
    for position, component, layer, paired in CASES:
        name = f"{position}.{component}.{layer}" + ("" if paired else ".unpaired")
        print(name)
        states = [
            [hidden(model, ids, component, layer) for ids in group]
            for group in (positives, negatives)
        ]
        p, n = (np.array([read(s, position) for s in group]) for group in states)
        # Classes without pairs need not be of one size.
        size = TRAINING if paired else UNPAIRED
        used = states[0] + states[1][:size] + states[1][TRAINING:]
        norms = np.sort(np.concatenate([np.linalg.norm(s[1:], axis=1) for s in used]))
        case = {
            "name": name, "position": position, "component": component, "layer": layer,
            "paired": paired, "median_norm": float(norms[(len(norms) - 1) // 2]), "methods": {},
        }
        training = (p[:TRAINING], n[:size])
        for method in METHODS:
            u = direction(method, *training, paired)
            rows = spread(*training, paired, method == "pca-centred")
            middle = (training[0].mean(0) + training[1].mean(0)) @ u / 2
            a, b = p[TRAINING:] @ u, n[TRAINING:] @ u
            tensors[f"{name}/{method}"] = torch.tensor(u).float()
            case["methods"][method] = {
                "gap": float((training[0].mean(0) - training[1].mean(0)) @ u),
                "norm": float(np.linalg.norm(training[0].mean(0) - training[1].mean(0))),
                "explained_variance": float(((rows @ u) ** 2).sum() / (rows**2).sum()),
                "auroc": auroc(a, b),
                "accuracy": float(((a > middle).sum() + (b <= middle).sum()) / (2 * len(a))),
            }
            if step is None:
                step = 0.5 * case["median_norm"] * u
        cases.append(case)
    document = {
        "positives": positives, "negatives": negatives, "training": TRAINING, "unpaired": UNPAIRED,
        "penalty": PENALTY, "cases": cases,
        "step": {"strength": 0.5, "effects": [side_effects(model, i, step) for i in positives[:3]]},
    }
    with open(os.path.join(HERE, "steering.json"), "w") as file:
        json.dump(document, file)
        file.write("\n")
    save_file(tensors, os.path.join(HERE, "steering.safetensors"))


if __name__ == "__main__":
    main()
