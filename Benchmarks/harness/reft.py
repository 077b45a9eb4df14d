# SPDX-License-Identifier: Apache-2.0
"""How our own side is called: the release build of `reft`."""
import json
import pathlib
import tempfile

from . import process


def training_rows(settings, folder):
    """The first rows of GSM8K, in the shape that `reft train` reads."""
    path = pathlib.Path(folder) / "train.jsonl"
    with open(settings.data, encoding="utf-8") as source, open(path, "w", encoding="utf-8") as out:
        for line, _ in zip(source, range(settings.rows)):
            row = json.loads(line)
            out.write(json.dumps({"instruction": row["question"], "output": row["answer"]}, ensure_ascii=False) + "\n")
    return path


def configuration(settings, folder, layers, epochs):
    """The run that pyreft_train.py does, as a file for `reft train`."""
    chosen = "all" if layers == "all" else "[" + ", ".join(layers.split(";")) + "]"
    text = f"""model: {json.dumps(str(pathlib.Path(settings.model).resolve()))}
data:
  train: {json.dumps(str(training_rows(settings, folder)))}
  template: alpaca
  max_length: 1024
interventions:
  - plugin: loreft
    layers: {chosen}
    component: block_output
    positions: f7+l7
    share_weights: true
    options: {{rank: 4}}
train:
  epochs: {epochs}
  batch_size: 8
  learning_rate: 9.0e-4
  schedule: linear
  warmup: 0
  weight_decay: 0.0
  clip_norm: 1.0
  seed: 42
output: {json.dumps(str(pathlib.Path(folder) / "run"))}
"""
    path = pathlib.Path(folder) / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def train(settings, layers, epochs):
    """One training run of ours: tokens per second of its loop, and its peak memory."""
    with tempfile.TemporaryDirectory(prefix="reft-bench-") as folder:
        made, _, peak = process.run_json(
            [settings.reft, "train", str(configuration(settings, folder, layers, epochs)), "--json"]
        )
    return {"tokens_per_second": made["tokens_per_second"], "seconds": made["seconds"],
            "tokens": round(made["tokens_per_second"] * made["seconds"]), "loss": made["loss"], "peak_rss_bytes": peak}


def bench(settings, kind, *options, model=None):
    """One `reft bench`; the whole document is kept beside the figures.

    Its memory is what it counts itself, without the yardstick that measures how fast memory is read.
    """
    made, _, peak = process.run_json([settings.reft, "bench", kind, "--model", model or settings.model, *options, "--json"])
    return {"peak_rss_bytes": peak, **made}


def first_token(settings):
    """Wall time of a whole `reft generate` that makes one token of a 16-token prompt."""
    return _generate(settings, settings.model, settings.prompt, 1)


def short(settings, model=None):
    """Wall time of a whole `reft generate` that makes 16 tokens after a prompt of 512."""
    return _generate(settings, model or settings.model, settings.long_prompt, 16)


def _generate(settings, model, prompt, tokens):
    made, seconds, peak = process.run_json(
        [settings.reft, "generate", "--model", model, "--prompt", prompt, "--max-tokens", str(tokens),
         "--temperature", "0", "--json"]
    )
    timings = made["timings"]
    if timings["tokens"] != tokens:
        raise process.Failed(f"reft generate made {timings['tokens']} tokens where {tokens} were asked for; use another prompt")
    return {"seconds": seconds, "peak_rss_bytes": peak, "prompt_tokens": timings["prompt_tokens"]}
