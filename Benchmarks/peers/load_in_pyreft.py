#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The loss of an exported adapter in pyreft 0.1.0, for the same rows as `reft score`.

Runs in the folder that setup-pyreft.sh makes, next to this file:

    reft adapter export --format pyreft A --output exported
    $REFT_BENCH_DIR/pyreft-venv/bin/python Benchmarks/peers/load_in_pyreft.py --model M.gguf \
        --folder exported --data rows.jsonl
    reft score --model M.gguf --adapter A --data rows.jsonl --json

Rows are {"ids", "labels"}; positions come from the "reft" part of the folder's config.json. ReftModel.load
makes its linear layers in bfloat16 whatever the files hold, so they are widened to float32 and the
same files read into them once more: then both programs compute with the same numbers. Prints one JSON
document with the loss, and the loss as pyreft loads it by itself.
"""
import argparse
import json
import os
import re


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a .gguf file that transformers can read")
    parser.add_argument("--folder", required=True, help="what reft adapter export wrote")
    parser.add_argument("--data", required=True, help='jsonl with {"ids", "labels"}')
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


def locations(rule, end, length):
    """The tokens of a prompt that an intervention edits, as pyreft counts them."""
    first, last = (int(n) if n else 0 for n in re.fullmatch(r"(?:f(\d+))?\+?(?:l(\d+))?", rule).groups())
    first, last = min(length // 2, first), min(length // 2, last)
    front, back = list(range(first)), list(range(length - last, length))
    return {"prefix": front, "suffix": back}.get(end, front + back)


def loss(reft, rows, marks, torch):
    """The mean over all labels, row by row: pyreft cannot pad positions of different counts."""
    total, count = 0.0, 0
    for row in rows:
        ids, labels = torch.tensor([row["ids"]]), torch.tensor(row["labels"])
        length = next(i for i, label in enumerate(row["labels"]) if label != -100)
        units = [[locations(mark["positions"], mark.get("end"), length)] for mark in marks]
        with torch.no_grad():
            _, out = reft({"input_ids": ids}, unit_locations={"sources->base": (None, units)})
        picked = labels[1:] != -100
        total += float(torch.nn.functional.cross_entropy(
            out.logits[0, :-1][picked].float(), labels[1:][picked], reduction="sum"))
        count += int(picked.sum())
    return total / count


def main():
    a = arguments()
    import pyreft
    import torch
    import transformers

    if a.threads:
        torch.set_num_threads(a.threads)
    transformers.logging.set_verbosity_error()
    folder, name = os.path.split(os.path.abspath(a.model))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, torch_dtype=torch.float32)
    model.eval()
    with open(a.data, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    with open(os.path.join(a.folder, "config.json"), encoding="utf-8") as file:
        marks = json.load(file)["reft"]["representations"]
    reft = pyreft.ReftModel.load(a.folder, model)
    reft.set_device("cpu")
    result = {"pyreft": "0.1.0", "interventions": len(reft.interventions), "rows": len(rows)}
    try:
        result["loss_as_loaded"] = loss(reft, rows, marks, torch)
    except RuntimeError as error:
        # LoReFT in bfloat16 cannot edit a float32 model.
        result["loss_as_loaded"] = None
        result["error_as_loaded"] = str(error).splitlines()[0]
    for key, intervention in reft.interventions.items():
        intervention.to(torch.float32)
        state = torch.load(os.path.join(a.folder, f"intkey_{key}.bin"), weights_only=True)
        intervention.load_state_dict(state)
    result["loss"] = loss(reft, rows, marks, torch)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
