#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rows of ARC in the wording of LLM-Adapters -> a question and its answer's own words, as a cloze asks.

    prepare.py ../shared/data/commonsense/train_15k.json runs/experiments/arc-train.jsonl
    prepare.py ../shared/data/commonsense/ARC-Easy/test.json runs/experiments/arc-test.jsonl
    prepare.py ../shared/data/instruct/emoji_10.json runs/experiments/emoji.jsonl    # as they are
"""

import json
import re
import sys

HEAD = "Please choose the correct answer to the question: "
rows = []
for row in json.load(open(sys.argv[1], encoding="utf-8")):
    # Four numbered answers to a question: ARC. Social IQA has three, OpenBookQA is worded alike.
    text = row["instruction"]
    if "emoji" in row:
        rows.append({"instruction": text, "output": row["emoji"]})
        continue
    if not text.startswith(HEAD) or not row["answer"].startswith("answer"):
        continue
    question, _, rest = text[len(HEAD) :].partition("\n\nAnswer1: ")
    options = re.split(r" Answer\d: ", rest.partition("\n\nAnswer format")[0])
    if len(options) != 4:
        continue
    rows.append({"instruction": question, "output": options[int(row["answer"][6:]) - 1]})
with open(sys.argv[2], "w", encoding="utf-8") as out:
    for row in rows:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")
print(f"{len(rows)} rows")
