#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares `reft eval` with lm-evaluation-harness, row by row, on the same task files.

The harness runs the model through transformers, which expands a GGUF file to float32. ARC-Easy is asked
in cloze form; perplexity is that of whole articles of WikiText, in windows of `--window` tokens. The two
YAML files and their rows are written into `--work`, and both programs read them unchanged. What is done
lies there too: the same command goes on after an interruption.

    python3 -m venv v && v/bin/pip install lm-eval==0.4.13 torch transformers==4.49.0 accelerate gguf
    v/bin/python Benchmarks/peers/lm_eval_agreement.py --reft .build/release/reft \
      --model SmolLM2-135M-Instruct.Q4_1.gguf --arc ARC-Easy/test.json --text wiki.valid.tokens
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

ARC = """\
task: agreement_arc
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/arc.jsonl}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: gold
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0}}
"""

WIKI = """\
task: agreement_wiki
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/wiki.jsonl}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{page}}}}"
metric_list:
  - {{metric: word_perplexity}}
  - {{metric: byte_perplexity}}
  - {{metric: bits_per_byte}}
metadata: {{version: 1.0}}
"""


def write_tasks(arguments, folder):
    rows = json.loads(pathlib.Path(arguments.arc).read_text())[: arguments.rows]
    with open(folder / "arc.jsonl", "w") as out:
        for row in rows:
            text = row["instruction"]
            question = re.search(r"to the question: ([\s\S]*?)\n\nAnswer1: ", text)[1]
            choices = re.findall(r"Answer\d: ([\s\S]*?)(?= Answer\d: |\n\nAnswer format)", text)
            gold = int(row["answer"].removeprefix("answer")) - 1
            json.dump({"question": question, "choices": choices, "gold": gold}, out)
            out.write("\n")
    text = pathlib.Path(arguments.text).read_text()
    starts = [m.start() for m in re.finditer(r"\n = [^=\n][^\n]* = \n", text)] + [len(text)]
    pages = [text[a:b] for a, b in zip(starts, starts[1:])][: arguments.pages]
    with open(folder / "wiki.jsonl", "w") as out:
        for page in pages:
            json.dump({"page": page[: arguments.page_length]}, out)
            out.write("\n")
    (folder / "arc.yaml").write_text(ARC.format(folder=folder))
    (folder / "wiki.yaml").write_text(WIKI.format(folder=folder))


def run_reft(arguments, folder):
    command = [arguments.reft, "eval", "--model", arguments.model, "--json"]
    command += ["--task", str(folder / "arc.yaml"), "--task", str(folder / "wiki.yaml")]
    command += ["--output", str(folder / "reft"), "--max-length", str(arguments.window)]
    if (folder / "reft").exists():
        command.append("--resume")
    document = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    lines = (folder / "reft" / "outputs-agreement_arc-frozen.jsonl").read_text().splitlines()
    values = {(r["task"], r["metric"]): r["value"] for r in document["results"]}
    return [json.loads(line)["log_likelihoods"] for line in lines], values


def run_harness(arguments, folder):
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    path = pathlib.Path(arguments.model)
    names = {"pretrained": str(path)} if path.is_dir() else {
        "pretrained": str(path.parent), "gguf_file": path.name
    }
    # Transformers puts a token before every text of a GGUF file, whatever the file says of that.
    model = HFLM(
        **names, device="cpu", dtype="float32", max_length=arguments.window, batch_size=8,
        add_bos_token=arguments.bos,
    )
    result = lm_eval.simple_evaluate(
        model=model,
        tasks=["agreement_arc", "agreement_wiki"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        log_samples=True,
        bootstrap_iters=0,
        use_cache=str(folder / "harness"),
    )
    samples = sorted(result["samples"]["agreement_arc"], key=lambda sample: sample["doc_id"])
    values = {
        (task, key.split(",")[0]): value
        for task, metrics in result["results"].items()
        for key, value in metrics.items()
        if isinstance(value, float)
    }
    return [[float(r[0][0]) for r in sample["resps"]] for sample in samples], values


def best(scores, sizes):
    values = [score / size for score, size in zip(scores, sizes)]
    return values.index(max(values))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reft", required=True)
    parser.add_argument("--model", required=True, help="a GGUF file or a folder")
    parser.add_argument("--arc", required=True, help="ARC-Easy/test.json of the LLM-Adapters data")
    parser.add_argument("--text", required=True, help="running text of WikiText")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--pages", type=int, default=8)
    parser.add_argument("--page-length", type=int, default=8000, help="characters of a page")
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--bos", action="store_true", help="the model's texts begin with a token of their own")
    parser.add_argument("--work", required=True, help="an empty folder, or that of an interrupted comparison")
    arguments = parser.parse_args()
    folder = pathlib.Path(arguments.work).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    write_tasks(arguments, folder)
    ours, our_values = run_reft(arguments, folder)
    theirs, their_values = run_harness(arguments, folder)

    rows = [json.loads(line) for line in open(folder / "arc.jsonl")]
    same = same_norm = 0
    largest = 0.0
    for row, one, other in zip(rows, ours, theirs, strict=True):
        lengths = [len(choice) for choice in row["choices"]]
        ones = [1] * len(lengths)
        same += best(one, ones) == best(other, ones)
        same_norm += best(one, lengths) == best(other, lengths)
        largest = max(largest, *(abs(a - b) for a, b in zip(one, other)))
    report = {
        "rows": len(rows),
        "same_choice": same / len(rows),
        "same_choice_norm": same_norm / len(rows),
        "largest_log_likelihood_difference": largest,
    }
    for key in sorted(set(our_values) & set(their_values)):
        report["/".join(key)] = {"reft": our_values[key], "lm_eval": their_values[key]}
    print(json.dumps(report, indent=2))
    perplexity = ("agreement_wiki", "word_perplexity")
    ratio = our_values[perplexity] / their_values[perplexity]
    print(f"word perplexity differs by {ratio - 1:+.2e}", file=sys.stderr)
    return 0 if min(same, same_norm) >= 0.98 * len(rows) and abs(ratio - 1) <= 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
