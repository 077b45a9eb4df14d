#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Does what docs/writing-a-plugin.md says, block by block, in an empty folder with an empty home: blocks
# marked file=NAME become files, sh blocks are run. Blocks marked "model" need the real model and are
# left out, with one line, where there is none.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${REFT_BIN:-$(swift build -c release --show-bin-path)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
model=${REFT_TEST_MODEL:-${REFT_HOME:-$HOME/.cache/reft}/models/SmolLM2-135M-Instruct.Q4_1.gguf}
[ -f "$model" ] || model=

python3 - docs/writing-a-plugin.md "$folder/tutorial.sh" "${model:+model}" <<'PYTHON'
import re
import sys

text = open(sys.argv[1], encoding="utf-8").read()
out = ["set -euo pipefail"]
blocks = re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.M | re.S)
left_out = 0
for number, (info, body) in enumerate(blocks, 1):
    words = info.split()
    place = next((word[5:] for word in words if word.startswith("file=")), None)
    if place:
        redirect = ">>" if "append" in words else ">"
        out += [f"cat {redirect} '{place}' <<'END_OF_BLOCK'", body.rstrip("\n"), "END_OF_BLOCK"]
    elif words[:1] == ["sh"] and ("model" not in words or sys.argv[3]):
        out += [f"echo '== block {number}' >&2", body.rstrip("\n")]
    elif words[:1] == ["sh"]:
        left_out += 1
    else:
        sys.exit(f"{sys.argv[1]}: block {number} ('{info}') is neither a file nor sh")
open(sys.argv[2], "w", encoding="utf-8").write("\n".join(out) + "\n")
print(f"{len(blocks)} blocks, {left_out} left out for want of the model", file=sys.stderr)
PYTHON

mkdir "$folder/home" "$folder/work"
if [ -n "$model" ]; then
  mkdir -p "$folder/home/.cache/reft/models"
  ln -s "$(readlink -f "$model")" "$folder/home/.cache/reft/models/"
fi
(cd "$folder/work" && env -u REFT_HOME -u REFT_PLUGIN_PATH HOME="$folder/home" PATH="$bin:$PATH" \
  bash "$folder/tutorial.sh")
echo "tutorial: every block did what it says"
