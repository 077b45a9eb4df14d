#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The tables of docs/composition.md: two tasks trained one after the other in halves of one rotation, and
# the held-out loss of each under nothing, its own adapter, the other's, both, and both as one; then both
# trained at once, each in its own subspace, and the loss in that, in the other's, and in both.
#
#     Examples/experiments/composition/run.sh [SEED…]      by default 1 2 3; about four minutes each
#
# REFT names the program, by default .build/release/reft. Results lie under runs/composition.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
reft=${REFT:-$root/.build/release/reft}
out=$root/runs/composition
model=smollm2-135m-instruct

# loss DATA [--adapter FOLDER]…: the mean over the held-out rows' label tokens, in nats.
loss() {
  data=$1
  shift
  "$reft" score --model "$model" --template chat --data "$data" --json "$@" |
    sed -n 's/^  "loss" *: *\([0-9.]*\).*/\1/p'
}

# named NUMBER FILE: its rows, each of which names that subspace.
named() {
  sed "s/^{/{\"subspace\": $1, /" "$2"
}

[ $# -gt 0 ] || set -- 1 2 3
mkdir -p "$out"
demo=$here/../../demo
{
  named 0 "$demo/train.jsonl"
  named 1 "$here/records-train.jsonl"
} >"$out/joint-train.jsonl"
for number in 0 1; do
  named "$number" "$demo/held-out.jsonl" >"$out/pirate-$number.jsonl"
  named "$number" "$here/records-held-out.jsonl" >"$out/records-$number.jsonl"
done
printf '%-6s %-8s %8s %8s %8s %8s %8s\n' seed task frozen own other both as-one
for seed; do
  rm -rf "${out:?}/$seed"
  one=$out/$seed/pirate two=$out/$seed/records
  "$reft" train "$here/pirate.yaml" --set "train.seed=$seed" --output "$one" >&2
  "$reft" train "$here/records.yaml" --set "train.seed=$seed" \
    --set "train.init_adapter=$one/adapter" --output "$two" >&2
  "$reft" adapter combine "$one/adapter" "$two/adapter" --output "$out/$seed/both" >&2
  for task in pirate records; do
    case $task in
    pirate) data=$demo/held-out.jsonl own=$one other=$two ;;
    *) data=$here/records-held-out.jsonl own=$two other=$one ;;
    esac
    printf '%-6s %-8s %8.3f %8.3f %8.3f %8.3f %8.3f\n' "$seed" "$task" \
      "$(loss "$data")" \
      "$(loss "$data" --adapter "$own/adapter")" \
      "$(loss "$data" --adapter "$other/adapter")" \
      "$(loss "$data" --adapter "$one/adapter" --adapter "$two/adapter")" \
      "$(loss "$data" --adapter "$out/$seed/both")"
  done
done

printf '\n%-6s %-8s %8s %8s %8s\n' seed task own other both
for seed; do
  joint=$out/$seed/joint
  "$reft" train "$here/joint.yaml" --set "train.seed=$seed" --output "$joint" >&2
  for task in pirate records; do
    case $task in
    pirate) data=$demo/held-out.jsonl own=0 other=1 ;;
    *) data=$here/records-held-out.jsonl own=1 other=0 ;;
    esac
    printf '%-6s %-8s %8.3f %8.3f %8.3f\n' "$seed" "$task" \
      "$(loss "$out/$task-$own.jsonl" --adapter "$joint/adapter")" \
      "$(loss "$out/$task-$other.jsonl" --adapter "$joint/adapter")" \
      "$(loss "$data" --adapter "$joint/adapter")"
  done
done
