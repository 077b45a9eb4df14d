#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The plugin ABI only appends: its header against the layout of every release, and the C plugins
# against the release's ABI as libabigail sees it.
#
#   Scripts/check-abi.sh            checks
#   Scripts/check-abi.sh --record   writes layout.txt and abi.xml of the version that the header names
set -euo pipefail
cd "$(dirname "$0")/.."

header=Sources/CReFTPlugin/include/reft_plugin.h
releases=Tests/Fixtures/abi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() { # build INCLUDE OUTPUT SOURCE...: a plugin with debug information
  local include=$1 output=$2
  shift 2
  cc -std=gnu17 -g -O1 -shared -fPIC -fvisibility=hidden -I "$include" "$@" -o "$output" -lm
}

major=$(sed -n 's/^#define REFT_ABI_MAJOR \([0-9]*\)u$/\1/p' "$header")
minor=$(sed -n 's/^#define REFT_ABI_MINOR \([0-9]*\)u$/\1/p' "$header")
version=$major.$minor

if [ "${1:-}" = --record ]; then
  folder=$releases/$version
  mkdir -p "$folder"
  cp "$header" "$folder/reft_plugin.h"
  Scripts/abi-layout.py print "$header" >"$folder/layout.txt"
  build "$folder" "$work/entry.so" "$releases/entry.c"
  abidw --no-corpus-path --no-comp-dir-path --no-show-locs "$work/entry.so" >"$folder/abi.xml"
  echo "recorded ABI $version in $folder"
  exit 0
fi

if [ ! -d "$releases/$version" ]; then
  echo "error: the header says ABI $version, of which there is no record in $releases; run" \
    "Scripts/check-abi.sh --record" >&2
  exit 1
fi
Scripts/abi-layout.py print "$header" >"$work/layout.txt"
for release in "$releases"/[0-9]*; do
  Scripts/abi-layout.py print "$release/reft_plugin.h" | diff -u "$release/layout.txt" - || {
    echo "error: $release/reft_plugin.h is frozen, and was changed" >&2
    exit 1
  }
  Scripts/abi-layout.py compare "$release/layout.txt" "$work/layout.txt"
  echo "$header only appends to the layout of ABI $(basename "$release")"
done

if ! command -v abidiff >/dev/null; then
  echo "abidiff is not installed; skipped the comparison by libabigail (apt: abigail-tools)"
  exit 0
fi
# What only appends needs a new version, recorded; within a version nothing changes at all.
release=$releases/$version
build Sources/CReFTPlugin/include "$work/kit.so" Tests/Fixtures/plugins/kit.c
build Sources/CReFTPlugin/include "$work/loreft.so" Plugins/LoReFT/*.c
for plugin in kit loreft; do
  abidiff --suppr "$releases/suppressions.ini" "$release/abi.xml" "$work/$plugin.so" || {
    echo "error: the plugin $plugin differs from ABI $version (see above)" >&2
    exit 1
  }
done
echo "the C plugins have the ABI $version for libabigail"
