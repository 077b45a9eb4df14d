#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything that a change must pass, cheap first. Ends at the first step that fails.
#
#   Scripts/check.sh              all steps but the long ones
#   Scripts/check.sh --all        the long ones too: each compiles everything once more
#   Scripts/check.sh STEP...      these steps alone
#   Scripts/check.sh --list       the steps
set -euo pipefail
cd "$(dirname "$0")/.."

steps=(self-test format c-format shell headers leftovers links cuda-kernels build plain-plugins abi
  test reference-kernels emulated-kernels conformance plugin-kernels tutorial examples stranger)
long_steps=(docs sanitize coverage)
build=(swift build -c release --build-tests --explicit-target-dependency-import-check error)

files() { # files PATTERN...: those that git knows or would add
  git ls-files -z --cached --others --exclude-standard -- "$@"
}

# Each of our own checkers must find what is wrong in a bad file; the benchmarks' scripts have tests.
step_self-test() {
  Scripts/checks/self-test.sh
  python3 -m unittest discover -s Benchmarks/tests
}

# Templates are Swift and C only once their names are filled in.
step_format() {
  files '*.swift' ':!Templates/files' | xargs -0 swift format lint --strict --parallel
}

# The ABI's header is laid out by hand, in columns that a reader can follow.
step_c-format() {
  files '*.c' '*.h' '*.cu' '*.cuh' ':!Templates/files' ':!Tests/Fixtures/abi' ':!Sources/CReFTPlugin/include' |
    xargs -0 clang-format --dry-run -Werror
}

step_shell() { files '*.sh' .ci/run | xargs -0 shellcheck; }

step_headers() {
  files 'Sources/CReFTPlugin/include/*.h' 'Sources/CReFTKernels/include/*.h' |
    xargs -0 Scripts/checks/headers.sh
}

step_leftovers() {
  files '*.swift' '*.c' '*.h' '*.cu' '*.cuh' '*.sh' '*.py' '*.md' '*.yaml' Makefile .ci/run |
    xargs -0 Scripts/checks/leftovers.sh
}

step_links() { files '*.md' | xargs -0 Scripts/checks/links.sh; }

# Kernels for cards compile for each of them, which needs no card; skipped where their compiler cannot
# be had.
step_cuda-kernels() {
  local kernels status=0
  mapfile -d '' kernels < <(files 'Sources/ReFTCUDA/Kernels/*.cu')
  Scripts/checks/cuda-kernels.py "${kernels[@]}" || status=$?
  [ "$status" -eq 75 ] || return "$status"
}

# Warnings are errors (Package.swift), and an import that no dependency declares is one too.
step_build() { "${build[@]}"; }

step_plain-plugins() { files 'Plugins/*.c' | xargs -0 Scripts/checks/plain-plugins.sh; }

# The ABI only grows at its end, against the layout of every release.
step_abi() { Scripts/check-abi.sh; }

step_test() { Scripts/test.sh; }

# Once more with the portable kernels, without the real model: they are the specification, not fast.
# Tests that hold kernels to their references choose both themselves, so they would only run again.
step_reference-kernels() {
  REFT_KERNELS=ref REFT_HOME=/nonexistent REFT_TEST_MODEL='' \
    swift test -c release --skip-build --parallel --filter 'ReFTTensorTests|ReFTModelTests' \
    --skip 'KernelTests/agree'
}

# AVX-512's and AMX's kernels, whatever processor runs the checks.
step_emulated-kernels() {
  REFT_HOME=/nonexistent REFT_TEST_MODEL='' Scripts/checks/emulated-kernels.sh
}

# The plugins that come with reft keep every rule. That broken ones are caught, each by its rule, is
# asserted by ReFTConformanceTests.
step_conformance() {
  local folder library
  folder=$("${build[@]}" --show-bin-path)
  while IFS= read -r -d '' library; do
    nm -D --defined-only "$library" | grep -q ' reft_plugin_entry_v1$' || continue
    echo "checking $(basename "$library")"
    "$folder/reft" plugin check "$library" --level 3 >"$folder/conformance.txt" || {
      cat "$folder/conformance.txt"
      return 1
    }
  done < <(find "$folder" -maxdepth 1 -name '*.so' -print0 | sort -z)
}

# The kernels that our plugins bring compile for each card: the emulated one writes their texts down.
step_plugin-kernels() {
  local folder library name cards status=0
  folder=$("${build[@]}" --show-bin-path)
  cards=$(mktemp -d)
  mkdir "$cards/texts"
  for name in libcuda.so.1 libnvrtc.so.12 libcublas.so.12; do
    ln -s "$folder/libCUDAEmulator.so" "$cards/$name"
  done
  export REFT_HOME=$cards REFT_CUDA_LIBRARIES=$cards REFT_EMULATED_CUDA_TEXTS=$cards/texts
  while IFS= read -r -d '' library; do
    nm -D --defined-only "$library" | grep -q ' reft_plugin_entry_v1$' || continue
    "$folder/reft" plugin trust "$library" >/dev/null
    "$folder/reft" plugin check "$library" --level 1 --device cuda >"$cards/check.txt" || {
      cat "$cards/check.txt"
      return 1
    }
  done < <(find "$folder" -maxdepth 1 -name '*.so' -print0 | sort -z)
  Scripts/checks/cuda-kernels.py "$cards"/texts/*.cu || status=$?
  rm -rf "$cards"
  [ "$status" -eq 75 ] || return "$status"
}

# The tutorial's code does what it says.
step_tutorial() { Scripts/check-tutorial.sh; }

# The plugins of Examples/plugins, checked, and trained in two places.
step_examples() { Scripts/check-examples.sh; }

# Someone who never saw this repository writes, checks and trains with a plugin.
step_stranger() { Scripts/stranger.sh; }

# A dangling symbol link in a doc comment is an error.
step_docs() {
  local graphs=$PWD/.build-docs/graphs module
  rm -rf "$graphs" && mkdir -p "$graphs"
  swift build --scratch-path .build-docs -Xswiftc -emit-symbol-graph \
    -Xswiftc -emit-symbol-graph-dir -Xswiftc "$graphs"
  for module in ReFTTensor ReFTText ReFTModel ReFTHost ReFTTraining ReFTPluginKit ReFTRecipes ReFTTemplates ReFTConformance ReFTBenchmark; do
    mkdir -p "$graphs/$module" "$graphs/$module.docc"
    find "$graphs" -maxdepth 1 -name "$module*.symbols.json" -exec cp {} "$graphs/$module/" \;
    docc convert "$graphs/$module.docc" --additional-symbol-graph-dir "$graphs/$module" \
      --fallback-display-name "$module" --fallback-bundle-identifier "org.reft.$module" \
      --warnings-as-errors --output-path "$graphs/$module.doccarchive"
  done
}

# The modules that read untrusted files, under the address sanitizer.
step_sanitize() {
  REFT_HOME=/nonexistent REFT_TEST_MODEL='' \
    swift test --sanitize=address --scratch-path .build-asan --parallel \
    --filter 'ReFTTensorTests|ReFTTextTests|ReFTModelTests'
}

step_coverage() {
  local folder
  swift test --scratch-path .build-coverage --enable-code-coverage --parallel \
    --filter 'ReFTTensorTests|ReFTTextTests|ReFTModelTests|ReFTHostTests|ReFTTrainingTests'
  folder=$(swift build --scratch-path .build-coverage --show-bin-path)
  llvm-cov report "$folder/reftPackageTests.xctest" \
    -instr-profile "$folder/codecov/default.profdata" Sources/ReFT*
}

case "${1:-}" in
  --list)
    printf '%s\n' "${steps[@]}" "${long_steps[@]}"
    exit 0
    ;;
  --all) selected=("${steps[@]}" "${long_steps[@]}") ;;
  '') selected=("${steps[@]}") ;;
  *) selected=("$@") ;;
esac

Scripts/setup.sh --checks
for step in "${selected[@]}"; do
  if ! declare -F "step_$step" >/dev/null; then
    echo "error: check.sh has no step '$step'; Scripts/check.sh --list names them" >&2
    exit 64
  fi
  echo "== $step"
  start=$SECONDS
  "step_$step"
  echo "== $step: good, $((SECONDS - start)) s"
done
