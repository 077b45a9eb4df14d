#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the engine reaches on this machine, against the peaks that it measures first.
set -euo pipefail
cd "$(dirname "$0")/.."

model=$(Scripts/fetch-model.sh)
reft=$(swift build -c release --show-bin-path)/reft
for work in train prefill decode; do
  "$reft" bench "$work" --model "$model"
done
