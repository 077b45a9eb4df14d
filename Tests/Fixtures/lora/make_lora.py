#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes LoRA folders of PEFT for the tiny models of ../tiny, with the loss of their batch and its gradients.

    python make_lora.py        (torch, transformers 4.57, peft 0.17, safetensors)

Of each case CASE/ is what PEFT saves, with A and B filled from a seed, and CASE-gradients/ the same folder
with d loss / d A and d loss / d B in their places. lora.json has the models, the losses without and with the
update, and the logits of the last token of the first sequence.
"""
import json
import os
import shutil

import peft
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "..", "tiny")
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {
    # name: (model, options of LoraConfig)
    "llama": ("llama", dict(r=3, lora_alpha=6, target_modules=ALL)),
    "llama-rslora": ("llama", dict(r=4, lora_alpha=5, target_modules=["q_proj", "k_proj"], use_rslora=True,
                                   layers_to_transform=[0, 2])),
    "gemma2": ("gemma2", dict(r=3, lora_alpha=6, target_modules=ALL)),
    "qwen3": ("qwen3", dict(r=2, lora_alpha=8, target_modules=ALL)),
    "phi3": ("phi3", dict(r=3, lora_alpha=6, target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"])),
    "gpt2": ("gpt2", dict(r=3, lora_alpha=6, target_modules=["c_attn", "attn.c_proj", "c_fc", "mlp.c_proj"],
                          fan_in_fan_out=True)),
    "gpt-neox": ("gpt-neox", dict(r=3, lora_alpha=6,
                                  target_modules=["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"])),
    "bert": ("bert", dict(r=3, lora_alpha=6, target_modules=[
        "query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"])),
}


def batch_loss(model, rows):
    """The mean over all labels, sequence by sequence; of a classifier over the sequences."""
    total, count = 0.0, 0
    for ids, labels in zip(rows["ids"], rows["labels"]):
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        if isinstance(labels, int):
            picked, wanted = logits[None], torch.tensor([labels])
        else:
            wanted = torch.tensor(labels)
            picked = logits[:-1][wanted[1:] != -100]
            wanted = wanted[1:][wanted[1:] != -100]
        total = total + torch.nn.functional.cross_entropy(picked, wanted, reduction="sum")
        count += len(wanted)
    return total / count


def make(name, folder, options):
    path = os.path.join(TINY, folder)
    rows = json.load(open(os.path.join(path, "expected.json")))
    is_encoder = isinstance(rows["labels"][0], int)
    kind = AutoModelForSequenceClassification if is_encoder else AutoModelForCausalLM
    base = kind.from_pretrained(path, torch_dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        frozen = float(batch_loss(base, rows))
    assert abs(frozen - rows["loss"]) < 1e-5, (name, frozen, rows["loss"])
    model = peft.get_peft_model(base, peft.LoraConfig(**options)).eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for key, value in sorted(model.named_parameters()):
            if "lora_" in key:
                value.copy_(torch.randn(value.shape, generator=generator) * (0.3 if "lora_B" in key else 0.1))
    loss = batch_loss(model, rows)
    loss.backward()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([rows["ids"][0]])).logits[0]
    target, other = os.path.join(HERE, name), os.path.join(HERE, name + "-gradients")
    for place in (target, other):
        shutil.rmtree(place, ignore_errors=True)
        model.save_pretrained(place)
        os.remove(os.path.join(place, "README.md"))
        config = json.load(open(os.path.join(place, "adapter_config.json")))
        config["base_model_name_or_path"] = folder
        config["target_modules"] = sorted(config["target_modules"])
        json.dump(config, open(os.path.join(place, "adapter_config.json"), "w"), indent=2, sort_keys=True)
    gradients = {key.replace(".default", ""): value.grad.clone()
                 for key, value in model.named_parameters() if "lora_" in key}
    tensors = os.path.join(other, "adapter_model.safetensors")
    assert set(load_file(tensors)) == set(gradients), name
    save_file(gradients, tensors)
    return {"name": name, "model": folder, "frozen_loss": frozen, "loss": float(loss),
            "logits": (logits if is_encoder else logits[-1]).tolist()[:32]}


def main():
    cases = [make(name, *case) for name, case in CASES.items()]
    json.dump({"cases": cases}, open(os.path.join(HERE, "lora.json"), "w"), indent=1)
    for case in cases:
        print(case["name"], case["frozen_loss"], case["loss"])


if __name__ == "__main__":
    main()
