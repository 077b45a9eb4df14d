#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the plugins of Examples/plugins as an author would, checks them at level 4, and trains with them
# in this process and in one of their own: the adapters are the same, byte for byte. The model is
# REFT_TEST_MODEL, or SmolLM2 where it is; without one, plugins are built and checked alone.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
bin=${REFT_BIN:-$(swift build -c release --show-bin-path)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
model=${REFT_TEST_MODEL:-${REFT_HOME:-$HOME/.cache/reft}/models/SmolLM2-135M-Instruct.Q4_1.gguf}
export REFT_HOME=$folder/home
mkdir "$REFT_HOME" "$folder/plugins"

for file in Examples/plugins/*.swift; do
  module=$(basename "$file" .swift)
  swiftc -swift-version 6 -wmo -O -parse-as-library -module-name "$module" \
    -I Sources/CReFTPlugin/include -emit-library -o "$folder/plugins/lib$module.so" \
    "$file" Sources/ReFTPluginKit/*.swift \
    -Xlinker --version-script="$root/Templates/files/swift/exports.map"
  "$bin/reft" plugin check "$folder/plugins/lib$module.so" --level 4 >"$folder/check.txt" ||
    { cat "$folder/check.txt" && exit 69; }
  "$bin/reft" plugin trust "$folder/plugins/lib$module.so" >/dev/null
  echo "$module: $(wc -l <"$file") lines, $(tail -1 "$folder/check.txt")"
done
[ -e "$model" ] || { echo "no model: the examples were not run"; exit 0; }

cd "$folder"
width=$("$bin/reft" model info "$model" --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["hidden_size"])')
python3 - "$width" <<'PYTHON'
import json
import struct
import sys

width = int(sys.argv[1])
data = struct.pack(f"<{3 * width}f", *(((7 * i) % 11 - 5) / 10 for i in range(3 * width)))
header = {"d": {"dtype": "F32", "shape": [3, width], "data_offsets": [0, len(data)]}}
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
open("dictionary.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data)
rows = [("the man", "in a"), ("a man in", "the"), ("one of", "re is"), ("the the", "an")]
with open("rows.jsonl", "w") as out:
    for prompt, answer in rows:
        out.write(json.dumps({"instruction": prompt, "output": answer}) + "\n")
with open("texts.jsonl", "w") as out:
    for prompt, answer in rows:
        out.write(json.dumps({"text": f"{prompt} {answer}"}) + "\n")
PYTHON

train() { # train PLUGIN POSITIONS OPTIONS
  for place in none process; do
    cat >"$1-$place.yaml" <<YAML
model: $model
data: {train: rows.jsonl}
interventions: [{plugin: $1, layers: [1], positions: $2, options: {$3}, isolation: $place}]
train: {epochs: 2, batch_size: 2, learning_rate: 1.0e-2}
output: $1-$place
YAML
    "$bin/reft" train "$1-$place.yaml" --plugin-path plugins >log.txt 2>&1 || { cat log.txt; exit 1; }
  done
  cmp "$1-none/adapter/adapter_model.safetensors" "$1-process/adapter/adapter_model.safetensors"
  "$bin/reft" generate --model "$model" --adapter "$1-process/adapter" --plugin-path plugins \
    --prompt "the man" --max-tokens 4 >/dev/null
  echo "$1: trained in this process and in its own, the same bits"
}
train positions f1+l1 ''
train gated all+decode ''
train feature all 'dictionary: "dictionary.safetensors#d", feature: 2'
for place in none process; do
  "$bin/reft" collect --model "$model" --plugin norms --layers 1 --positions all --data texts.jsonl \
    --plugin-path plugins --isolation "norms=$place" --output "$place.safetensors" >/dev/null
done
cmp none.safetensors process.safetensors
echo "norms: collected in this process and in its own, the same bits"
