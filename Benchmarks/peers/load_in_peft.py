#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The loss of an exported LoRA in PEFT, for the same rows as `reft score`.

Needs torch, transformers and peft, in the environment that setup-pyreft.sh makes or another:

    reft adapter export --format peft A --output exported
    python Benchmarks/peers/load_in_peft.py --model M --folder exported --data rows.jsonl
    reft score --model M --adapter A --data rows.jsonl --json

M is a folder, or a .gguf file that transformers can read. Rows are {"ids", "labels"}. Prints one JSON document with
the loss, that of the model without the LoRA, and the ten largest logits after the first row's last token.
"""
import argparse
import json
import os


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a folder, or a .gguf file that transformers can read")
    parser.add_argument("--folder", required=True, help="what reft adapter export wrote")
    parser.add_argument("--data", required=True, help='jsonl with {"ids", "labels"}')
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


def loss(model, rows, torch):
    """The mean over all labels, row by row."""
    total, count = 0.0, 0
    for row in rows:
        labels = torch.tensor(row["labels"])
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row["ids"]])).logits[0, :-1].float()
        picked = labels[1:] != -100
        total += float(torch.nn.functional.cross_entropy(logits[picked], labels[1:][picked], reduction="sum"))
        count += int(picked.sum())
    return total / count


def main():
    a = arguments()
    import peft
    import torch
    import transformers

    if a.threads:
        torch.set_num_threads(a.threads)
    folder, name = os.path.split(os.path.abspath(a.model))
    place = {"pretrained_model_name_or_path": folder, "gguf_file": name} if name.endswith(".gguf") else {
        "pretrained_model_name_or_path": a.model}
    base = transformers.AutoModelForCausalLM.from_pretrained(
        **place, torch_dtype=torch.float32, attn_implementation="eager").eval()
    model = peft.PeftModel.from_pretrained(base, a.folder).eval()
    rows = [json.loads(line) for line in open(a.data)]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([rows[0]["ids"]])).logits[0, -1].float()
    top = logits.topk(10)
    with model.disable_adapter():
        frozen = loss(model, rows, torch)
    print(json.dumps({
        "loss": loss(model, rows, torch), "frozen_loss": frozen,
        "top": [[int(i), round(float(v), 4)] for i, v in zip(top.indices, top.values)]}))


if __name__ == "__main__":
    main()
