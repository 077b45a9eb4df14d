#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A check that cannot fail is no check: feeds one bad and one good file to each of our own checkers
# and expects a finding and none.
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
refuses() { # refuses CHECKER FILE...
  if "$@" >/dev/null 2>&1; then
    echo "self-test: $(basename "$1") accepts ${*:2}" >&2
    failed=1
  fi
}
accepts() { # accepts CHECKER FILE...
  if ! "$@" >/dev/null 2>&1; then
    echo "self-test: $(basename "$1") refuses ${*:2}" >&2
    failed=1
  fi
}

checks=Scripts/checks
spdx='// SPDX-License-Identifier: Apache-2.0'
mkdir -p "$scratch/Sources/ReFTHost"

printf '%s\nlet a = 1\n' "$spdx" >"$scratch/good.swift"
printf 'let a = 1\n' >"$scratch/licence.swift"
printf '%s\n// TODO: later\n' "$spdx" >"$scratch/note.swift"
printf '%s\nlet a = 1 \n' "$spdx" >"$scratch/blank.swift"
printf '%s\n\tlet a = 1\n' "$spdx" >"$scratch/tab.swift"
printf '%s\nprint(1)\n' "$spdx" >"$scratch/Sources/ReFTHost/Print.swift"
printf '%s\n@testable import ReFTHost\n' "$spdx" >"$scratch/testable.swift"
accepts "$checks/leftovers.sh" "$scratch/good.swift"
for bad in licence note blank tab testable; do
  refuses "$checks/leftovers.sh" "$scratch/$bad.swift"
done
refuses env -C "$scratch" "$PWD/$checks/leftovers.sh" Sources/ReFTHost/Print.swift

printf 'int thing(void);\n' >"$scratch/good.h"
printf 'uint32_t thing(void);\n' >"$scratch/bad.h"
accepts "$checks/headers.sh" "$scratch/good.h"
refuses "$checks/headers.sh" "$scratch/bad.h"

printf '[a](good.h)\n' >"$scratch/good.md"
printf '[a](nowhere.md)\n' >"$scratch/bad.md"
accepts "$checks/links.sh" "$scratch/good.md"
refuses "$checks/links.sh" "$scratch/bad.md"

entry='__attribute__((visibility("default"))) int reft_plugin_entry_v1(void) { return 0; }'
printf '%s\n' "$entry" >"$scratch/good.c"
printf '%s\n__attribute__((visibility("default"))) int more(void) { return 0; }\n' "$entry" \
  >"$scratch/bad.c"
accepts "$checks/plain-plugins.sh" "$scratch/good.c"
refuses "$checks/plain-plugins.sh" "$scratch/bad.c"

printf 'extern "C" __global__ void f(int *x) { x[threadIdx.x] = 1; }\n' >"$scratch/good.cu"
printf 'extern "C" __global__ void f(int *x) { x[thread] = 1; }\n' >"$scratch/bad.cu"
status=0
"$checks/cuda-kernels.py" "$scratch/good.cu" >/dev/null 2>&1 || status=$?
if [ "$status" -ne 75 ]; then # 75: its compiler cannot be had
  accepts "$checks/cuda-kernels.py" "$scratch/good.cu"
  refuses "$checks/cuda-kernels.py" "$scratch/bad.cu"
fi

printf '%s\nfunc  f( ){ }\n' "$spdx" >"$scratch/format.swift"
accepts swift format lint --strict --configuration .swift-format "$scratch/good.swift"
refuses swift format lint --strict --configuration .swift-format "$scratch/format.swift"

exit "$failed"
