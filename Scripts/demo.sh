#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job from end to end: fetch a model, build, train a LoReFT adapter through its plugin on the
# rows of Examples/demo, and show what changed: held-out loss and replies, before and after.
set -euo pipefail
cd "$(dirname "$0")/.."

model=$(Scripts/fetch-model.sh)
echo "demo: building the release (a first build takes some minutes)" >&2
build=(swift build -c release)
if ! output=$("${build[@]}" 2>&1); then
  echo "$output" >&2
  exit 70
fi
reft=$("${build[@]}" --show-bin-path)/reft
run=runs/demo
held_out=Examples/demo/held-out.jsonl

loss() { # loss [--adapter A]: mean loss over the held-out rows
  "$reft" score --model "$model" --data "$held_out" --template chat --json "$@" |
    python3 -c 'import json, sys; print("%.3f" % json.load(sys.stdin)["loss"])'
}
replies() { # replies FILE [--adapter A]: one greedy reply to each held-out question
  local target=$1
  shift
  "$reft" generate --model "$model" --input "$held_out" --template chat --max-tokens 60 \
    --json "$@" >"$target"
}

rm -rf "$run"
"$reft" train Examples/demo/config.yaml --set model="$model" --output "$run"
adapter=$run/adapter

replies "$run/frozen.json"
replies "$run/edited.json" --adapter "$adapter"
python3 - "$held_out" "$run/frozen.json" "$run/edited.json" <<'PYTHON'
import json
import sys
import textwrap

rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
frozen, edited = (json.load(open(path, encoding="utf-8"))["results"] for path in sys.argv[2:4])
print()
print("Questions that no training row asks, greedy decoding:")
for row, before, after in zip(rows, frozen, edited):
    print()
    print(row["instruction"])
    left = textwrap.wrap(" ".join(before["text"].split()), 46)[:5]
    right = textwrap.wrap(" ".join(after["text"].split()), 46)[:5]
    print("  %-46s | %s" % ("frozen", "edited"))
    for index in range(max(len(left), len(right))):
        print("  %-46s | %s" % (left[index] if index < len(left) else "",
                                right[index] if index < len(right) else ""))
PYTHON

echo
echo "held-out loss, frozen: $(loss) nats per token"
echo "held-out loss, edited: $(loss --adapter "$adapter") nats per token"
echo
echo "Talk to it:  $reft chat --model smollm2-135m-instruct --adapter $adapter"
