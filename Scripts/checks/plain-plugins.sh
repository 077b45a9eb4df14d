#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds C plugins as a stranger would, with one compiler line and no SwiftPM: each must export only
# the entry symbol and need only the C library. Arguments: C sources, one plugin each.
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
fail() {
  echo "$1" >&2
  failed=1
}

for source in "$@"; do
  for compiler in clang gcc; do
    library=$scratch/$(basename "$source" .c)-$compiler.so
    if ! "$compiler" -std=c17 -O2 -Wall -Wextra -Werror -shared -fPIC -fvisibility=hidden \
      -I Sources/CReFTPlugin/include -I "$(dirname "$source")/include" "$source" -o "$library" -lm
    then
      fail "$source: $compiler does not build it"
      continue
    fi
    # Some linkers also export these three section marks; they are nobody's choice.
    exported=$(nm -D --defined-only "$library" | awk '{print $3}' |
      grep -vxE '__bss_start|_edata|_end' | sort | tr '\n' ' ')
    if [ "$exported" != "reft_plugin_entry_v1 " ]; then
      fail "$source ($compiler): exports '$exported', expected reft_plugin_entry_v1 alone"
    fi
    others=$(ldd "$library" | awk '{print $1}' |
      grep -vE '^(statically|linux-vdso\.so|libc\.so|libm\.so|/lib64/ld-linux|/lib/ld-linux)' || true)
    if [ -n "$others" ]; then
      fail "$source ($compiler): needs $others, expected the C library alone"
    fi
  done
done
exit "$failed"
