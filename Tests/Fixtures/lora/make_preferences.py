#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes losses, rewards and gradients of objectives on pairs of answers, each written out in PyTorch.

    python make_preferences.py        (torch, transformers 4.57, peft 0.17, safetensors)

The model is ../tiny/llama, the policy its LoRA in llama/ beside this file, the reference the model without
it. preferences.json has the pairs and the cases, preferences.safetensors d loss / d A and B of each case,
under our names (`case/lora.layers.0.q_proj.A`).
"""
import json
import os
import re

import peft
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = [
    {"name": "dpo", "objective": "dpo", "beta": 0.3, "length_normalized": False},
    {"name": "dpo-normalized", "objective": "dpo", "beta": 2.0, "length_normalized": True},
    {"name": "margin", "objective": "margin", "margin": 3.0, "length_normalized": False},
    {"name": "margin-normalized", "objective": "margin", "margin": 0.4, "length_normalized": True},
]


def pairs():
    generator = torch.Generator().manual_seed(11)

    def ids(count):
        return torch.randint(3, 300, (count,), generator=generator).tolist()

    return [{"prompt": ids(p), "chosen": ids(c), "rejected": ids(r)} for p, c, r in [(9, 5, 4), (12, 3, 6), (7, 6, 2)]]


def log_probability(model, prompt, answer, normalized):
    logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1:-1]
    picked = torch.log_softmax(logits, -1)[torch.arange(len(answer)), torch.tensor(answer)]
    return picked.mean() if normalized else picked.sum()


def both(model, pair, normalized):
    return [log_probability(model, pair["prompt"], pair[key], normalized) for key in ("chosen", "rejected")]


def main():
    base = AutoModelForCausalLM.from_pretrained(
        os.path.join(HERE, "..", "tiny", "llama"), dtype=torch.float32, attn_implementation="eager").eval()
    model = peft.PeftModel.from_pretrained(base, os.path.join(HERE, "llama"), is_trainable=True).eval()
    rows, tensors = pairs(), {}
    for case in CASES:
        model.zero_grad()
        losses, case["rewards"] = [], []
        for pair in rows:
            own = both(model, pair, case["length_normalized"])
            with torch.no_grad(), model.disable_adapter():
                reference = both(model, pair, case["length_normalized"])
            if case["objective"] == "dpo":
                rewards = [case["beta"] * (a - b) for a, b in zip(own, reference)]
                losses.append(-torch.nn.functional.logsigmoid(rewards[0] - rewards[1]))
            else:
                rewards = own
                losses.append(torch.relu(case["margin"] - (own[0] - own[1])))
            case["rewards"].append([float(reward.detach()) for reward in rewards])
        loss = torch.stack(losses).mean()
        loss.backward()
        case["losses"], case["loss"] = [float(each.detach()) for each in losses], float(loss.detach())
        for key, value in model.named_parameters():
            found = re.search(r"layers\.(\d+)\.\w+\.(\w+)\.lora_([AB])\.", key)
            if found:
                name = f"{case['name']}/lora.layers.{found[1]}.{found[2]}.{found[3]}"
                tensors[name] = value.grad.clone()
        print(case["name"], case["losses"])
    json.dump({"pairs": rows, "cases": CASES}, open(os.path.join(HERE, "preferences.json"), "w"), indent=1)
    save_file(tensors, os.path.join(HERE, "preferences.safetensors"))


if __name__ == "__main__":
    main()
