#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The peer's side of the training rows: pyreft trains LoReFT on the same rows that `reft train` gets.

Runs in the folder that peers/setup-pyreft.sh makes:

    $REFT_BENCH_DIR/pyreft-venv/bin/python Benchmarks/pyreft_train.py --model M.gguf \
        --data gsm8k/train.jsonl --layers all --epochs 1

pyreft 0.1.0's own Trainer classes stop with transformers >= 4.46 (`num_items_in_batch`), so the loop
here is ours: the same forward call, positions, padding and loss that its Trainer uses, AdamW, a linear schedule
without warm-up and gradients clipped at 1, nothing evaluated or saved inside of the timed loop. Prints one JSON document.
"""
import argparse
import json
import os
import platform
import resource
import sys
import time

ALPACA = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:\n"
)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a .gguf file of the llama architecture")
    parser.add_argument("--data", required=True, help="jsonl with question and answer")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--layers", default="all", help="all, or numbers separated by ;")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--first", type=int, default=7)
    parser.add_argument("--last", type=int, default=7)
    parser.add_argument("--learning-rate", type=float, default=9e-4)
    parser.add_argument("--max-steps", type=int, help="stop early (for trying out)")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seed", type=int, default=42)
    return parser.parse_args()


def load(path, torch, transformers):
    """The frozen model in float32 and its tokenizer, both from the GGUF file."""
    folder, name = os.path.split(os.path.abspath(path))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name)
    # The file says pre = "smollm": digits are split one by one first, which transformers' converter leaves out.
    from tokenizers import pre_tokenizers as pre

    tokenizer.backend_tokenizer.pre_tokenizer = pre.Sequence(
        [pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)]
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, torch_dtype=torch.float32
    )
    # The converter also forgets which token ends a text; the file knows.
    import gguf

    field = gguf.GGUFReader(path).fields["tokenizer.ggml.eos_token_id"]
    return tokenizer, model, int(field.parts[field.data[0]][0])


def examples(a, tokenizer, end, interventions, get_locations):
    """Ids, labels and positions as pyreft's data sets lay them out: one pad token in front as a sink."""
    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
    made = []
    with open(a.data, encoding="utf-8") as file:
        for line, _ in zip(file, range(a.rows)):
            row = json.loads(line)
            prompt = encode(ALPACA.format(instruction=row["question"]))
            completion = encode(row["answer"]) + [end]
            locations = get_locations(
                last_position=len(prompt), first_n=a.first, last_n=a.last, pad_mode="first",
                num_interventions=interventions, share_weights=True,
            )
            made.append({
                "ids": prompt + completion,
                "labels": [-100] * len(prompt) + completion,
                "locations": [[p + 1 for p in one] for one in locations],
            })
    return made


def collate(rows, pad, torch):
    """One padded batch."""
    width = 1 + max(len(r["ids"]) for r in rows)
    ids = torch.full((len(rows), width), pad)
    labels = torch.full((len(rows), width), -100)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        end = 1 + len(row["ids"])
        ids[i, 1:end] = torch.tensor(row["ids"])
        labels[i, 1:end] = torch.tensor(row["labels"])
        mask[i, 1:end] = 1
    locations = torch.tensor([r["locations"] for r in rows]).permute(1, 0, 2).tolist()
    return ids, labels, mask, locations


def main():
    a = arguments()
    import pyreft
    import torch
    import transformers
    from importlib.metadata import version
    from pyreft.dataset import get_intervention_locations

    if a.threads:
        torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    transformers.logging.set_verbosity_error()
    tokenizer, model, end = load(a.model, torch, transformers)
    layers = (
        list(range(model.config.num_hidden_layers)) if a.layers == "all" else [int(n) for n in a.layers.split(";")]
    )
    reft = pyreft.get_reft_model(model, pyreft.ReftConfig(representations=[
        {
            "layer": layer, "component": "block_output", "low_rank_dimension": a.rank,
            "intervention": pyreft.LoreftIntervention(
                embed_dim=model.config.hidden_size, low_rank_dimension=a.rank, dtype=torch.float32
            ),
        }
        for layer in layers
    ]))
    reft.set_device("cpu")
    reft.train()
    rows = examples(a, tokenizer, end, len(layers), get_intervention_locations)
    parameters = [p for p in reft.parameters() if p.requires_grad]
    batches = [rows[i:i + a.batch_size] for i in range(0, len(rows), a.batch_size)]
    total = a.epochs * len(batches)
    optimizer = torch.optim.AdamW(parameters, lr=a.learning_rate, weight_decay=0.0)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 0, total)
    losses, tokens, labels_seen, weighted, step = [], 0, 0, 0.0, 0
    began = time.perf_counter()
    for _ in range(a.epochs):
        for batch in batches:
            if a.max_steps and step >= a.max_steps:
                break
            ids, labels, mask, locations = collate(batch, tokenizer.pad_token_id or 0, torch)
            _, output = reft(
                {"input_ids": ids, "attention_mask": mask},
                unit_locations={"sources->base": (None, locations)},
                labels=labels,
            )
            output.loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            loss, count = output.loss.item(), int((labels != -100).sum())
            losses.append(loss)
            weighted += loss * count
            labels_seen += count
            tokens += int(mask.sum())
            step += 1
            print(f"step {step}/{total} loss {loss:.4f} {tokens / (time.perf_counter() - began):.0f} tok/s", file=sys.stderr)
    seconds = time.perf_counter() - began
    json.dump({
        "tool": "pyreft",
        "versions": {name: version(name) for name in ("pyreft", "pyvene", "torch", "transformers")} | {"python": platform.python_version()},
        "threads": torch.get_num_threads(),
        "layers": a.layers, "epochs": a.epochs, "steps": step, "batch_size": a.batch_size, "rank": a.rank,
        "trainable_parameters": sum(p.numel() for p in parameters),
        "tokens": tokens, "label_tokens": labels_seen, "seconds": seconds, "tokens_per_second": tokens / seconds,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "loss": weighted / labels_seen, "mean_step_loss": sum(losses) / len(losses), "losses": losses,
    }, sys.stdout)
    print()


if __name__ == "__main__":
    main()
