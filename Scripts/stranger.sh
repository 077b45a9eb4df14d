#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Plays somebody who never saw this repository: makes a C and a Swift plugin from the templates in an
# empty folder, changes the formula, breaks one gradient and sees it named, mends it, drops the library
# into the plugin folder, trains with it by name, has its worker killed in mid-run, and ends with a good
# adapter that is the same, byte for byte, as one trained without trouble. What needs the real model is
# left out, with one line, where there is none.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${REFT_BIN:-$(swift build -c release --show-bin-path)}
model=${REFT_TEST_MODEL:-${REFT_HOME:-$HOME/.cache/reft}/models/SmolLM2-135M-Instruct.Q4_1.gguf}
folder=$(mktemp -d)
train=
trap '[ -z "$train" ] || kill "$train" 2>/dev/null || true; rm -rf "$folder"' EXIT
mkdir "$folder/home" "$folder/work"
unset REFT_HOME REFT_PLUGIN_PATH
export HOME=$folder/home PATH=$bin:$PATH
cd "$folder/work"

say() { echo "stranger: $*"; }
fail() {
  echo "error: $*" >&2
  exit 1
}

# change_formula FILE: y = x (1 + s) + b becomes y = x + s tanh(x) + b, with its derivative.
change_formula() {
  case $1 in
    *.c)
      sed -i -e 's/#include <stdlib.h>/#include <math.h>\n#include <stdlib.h>/' \
        -e 's/\* (1 + scale\[j\]) + shift/+ scale[j] * tanhf(ROW(a->x, i)[j]) + shift/' \
        -e 's/+= dy \* ROW(a->x, i)\[j\]/+= dy * tanhf(ROW(a->x, i)[j])/' \
        -e 's/dy \* (1 + scale\[j\])/dy * (1 + scale[j] * (1 - powf(tanhf(ROW(a->x, i)[j]), 2)))/' \
        -e 's/ | REFT_CAP_AFFINE_IN_X//' "$1"
      ;;
    *.swift)
      sed -i -e 's/^import CReFTPlugin/import CReFTPlugin\nimport Glibc/' \
        -e 's/x\[j\] \* (1 + scale\[j\]) + shift\[j\]/x[j] + scale[j] * tanhf(x[j]) + shift[j]/' \
        -e 's/dy\[j\] \* x\[j\]/dy[j] * tanhf(x[j])/' \
        -e 's/dy\[j\] \* (1 + scale\[j\])/dy[j] * (1 + scale[j] * (1 - tanhf(x[j]) * tanhf(x[j])))/' \
        -e 's/, \.affine,/,/' "$1"
      ;;
  esac
  grep -q 'tanhf' "$1" || fail "the template is not what this script expects; mend change_formula"
}

make_plugin() { # make_plugin NAME LANGUAGE SOURCE BROKEN-SED
  say "a plugin in $2: $1"
  reft plugin new "$1" --language "$2" >/dev/null
  (
    cd "$1"
    change_formula "$3"
    sed -i 's/\* (1 + scale\[j\]) + shift/+ scale[j] * tanhf(x[i * dim + j]) + shift/' test.c
    cp "$3" good
    sed -i "$4" "$3"
    cmp -s good "$3" && fail "$3 has no line to break"
    if make check >check.txt 2>&1; then fail "a wrong gradient passed the check of $1"; fi
    grep -i 'gradient' check.txt | grep 'shift' >named.txt ||
      { cat check.txt; fail "the check of $1 does not name the gradient of 'shift'"; }
    say "the broken gradient is named: $(head -n 1 named.txt)"
    cat good >"$3" # not mv: make goes by times
    make check >check.txt 2>&1 || { cat check.txt; fail "the mended $1 does not pass"; }
    say "mended: $(tail -n 1 check.txt)"
    make install >/dev/null
  )
}
make_plugin tilt-c c tilt-c.c 's/a->dparams\[1\])\[j\] += dy;/a->dparams[1])[j] -= dy;/'
make_plugin tilt-swift swift Plugin.swift 's/dShift\[j\] += dy\[j\]/dShift[j] -= dy[j]/'
reft plugin list

if [ ! -f "$model" ]; then
  say "no model at $model: training is left out; Scripts/fetch-model.sh fetches it"
  exit 0
fi

for row in 'Name a fruit.|Arr, an apple!' 'Name a colour.|Arr, a deep blue!' 'Name a metal.|Arr, gold!' \
  'Name a bird.|Arr, a parrot!' 'Name a city.|Arr, Tortuga!' 'Name a drink.|Arr, rum!' \
  'Name a tool.|Arr, a compass!' 'Name a fish.|Arr, a shark!'; do
  printf '{"instruction": "%s", "output": "%s"}\n' "${row%|*}" "${row#*|}"
done >rows.jsonl
cat >run.yaml <<END
model: $model
data: {train: rows.jsonl, template: chat}
interventions:
  - {plugin: tilt-c, layers: [6, 12, 18, 24], positions: f1+l3}
train: {epochs: 16, batch_size: 4, learning_rate: 2.0e-2}
output: inside
END

say "training in process"
reft train run.yaml
say "training in a process of its own, which is killed on the way"
reft train run.yaml --set interventions.0.isolation=process --output outside 2>outside.log &
train=$!
killed=0
for _ in $(seq 1 3000); do
  kill -0 "$train" 2>/dev/null || break
  if [ -s outside/metrics.jsonl ] && worker=$(pgrep -P "$train" -f reft-plugin-worker | head -n 1) &&
    [ -n "$worker" ]; then
    kill -KILL "$worker"
    killed=1
    break
  fi
  sleep 0.1
done
wait "$train" || { cat outside.log; fail "the run did not survive its worker"; }
train=
[ "$killed" = 1 ] || { cat outside.log; fail "the worker was never seen"; }
grep 'started again' outside.log || { cat outside.log; fail "nothing says that the worker was started again"; }
cmp inside/adapter/adapter_model.safetensors outside/adapter/adapter_model.safetensors ||
  fail "the adapters differ"
say "the adapter is the same, byte for byte"

loss() {
  reft score --model "$model" --data rows.jsonl --template chat --json "$@" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["loss"])'
}
before=$(loss)
after=$(loss --adapter outside/adapter)
python3 -c "import sys; sys.exit(not $after < 0.7 * $before)" ||
  fail "the adapter is not good: loss $before before, $after after"
say "a good adapter: loss $before before, $after after"

reft train run.yaml --set interventions.0.plugin=tilt-swift --output swift
cmp inside/adapter/adapter_model.safetensors swift/adapter/adapter_model.safetensors &&
  say "the Swift plugin trained the very same adapter"
say "done"
