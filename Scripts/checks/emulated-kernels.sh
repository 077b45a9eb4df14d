#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The kernels of AVX-512 and AMX on a processor that has AVX2 alone: compiled with the emulator of
# Tests/_AVX512Emulator and linked into the tests of the last release build in their own place.
#
#   Scripts/checks/emulated-kernels.sh            the tests of ReFTTensor
#   Scripts/checks/emulated-kernels.sh FILTER     these tests, as `swift test --filter` names them
set -euo pipefail
cd "$(dirname "$0")/../.."

for feature in avx2 fma f16c; do
  grep -qw "$feature" /proc/cpuinfo || {
    echo "skipped: the emulator needs a processor with $feature"
    exit 0
  }
done

emulator=Tests/_AVX512Emulator/avx512.h
folder=$(swift build -c release --show-bin-path)
objects=$folder/emulated-kernels
mkdir -p "$objects"
mapfile -t sources < <(grep -lrE 'avx512|amx|__builtin_cpu_supports' \
  Sources/CReFTKernels/x86 Sources/CReFTKernels/dispatch/dispatch.c --include='*.c' | sort)
cp "$folder/reftPackageTests.product/Objects.LinkFileList" "$objects/list"
for source in "${sources[@]}"; do
  own=CReFTKernels.build/${source#Sources/CReFTKernels/}.o
  grep -q "/$own\$" "$objects/list" || {
    echo "error: the tests of $folder are not linked with $own; build them first:" \
      "swift build -c release --build-tests" >&2
    exit 1
  }
  sed -i "s|^.*/$own\$|$objects/$(basename "$source").o|" "$objects/list"
done
# shellcheck disable=SC2016 # the shell that xargs starts reads these
printf '%s\0' "${sources[@]}" | xargs -0 -P "$(nproc)" -I{} sh -c \
  'echo "emulating $3"; exec clang -O2 -mavx2 -mfma -mf16c -Wall -Werror -Wno-psabi -include "$1" \
    -I Sources/CReFTKernels/include -c "$3" -o "$2/$(basename "$3").o"' \
  sh "$emulator" "$objects" {}
swiftc -L "$folder" -o "$folder/emulated.xctest" -emit-executable -Xlinker --gc-sections \
  -Xlinker "-rpath=\$ORIGIN" -lffi -lstdc++ "@$objects/list"
"$folder/emulated.xctest" --testing-library swift-testing --parallel --filter "${1:-ReFTTensorTests}"
