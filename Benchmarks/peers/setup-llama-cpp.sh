#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds llama.cpp's command line tools for this machine in a scratch folder:
#   ${REFT_BENCH_DIR:-~/.cache/reft/bench}/llama-cpp/bin/{llama-bench,llama-completion,llama-perplexity,llama-quantize}
# The source is the one inside llama-cpp-python's source package, so pip is the only download.
# REFT_BENCH_JOBS sets the number of compiler processes (default: all cores).
set -euo pipefail

version="${LLAMA_CPP_PYTHON_VERSION:-0.3.36}"
scratch="${REFT_BENCH_DIR:-$HOME/.cache/reft/bench}"
root="$scratch/llama-cpp"
jobs="${REFT_BENCH_JOBS:-$(nproc)}"
mkdir -p "$root"

missing=()
for tool in cmake g++ python3 tar; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
if [ "${#missing[@]}" -gt 0 ]; then
  echo "error: ${missing[*]} not found; install with: apt-get install cmake g++ make python3-pip" >&2
  exit 69
fi

archive="$root/llama_cpp_python-$version.tar.gz"
if [ ! -f "$archive" ]; then
  # A source package's metadata is made by its build backend, which pip wants to run.
  python3 -m venv "$root/pip" || {
    rm -rf "$root/pip"
    echo "error: python3 -m venv does not work here; install it with: apt-get install python3-venv" >&2
    exit 69
  }
  "$root/pip/bin/python" -m pip --disable-pip-version-check download -q --no-deps \
    --no-binary llama-cpp-python -d "$root" "llama-cpp-python==$version"
fi
source="$root/llama_cpp_python-$version/vendor/llama.cpp"
[ -d "$source" ] || tar -xzf "$archive" -C "$root"

cmake -S "$source" -B "$root/build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
  -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
  -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_MTMD=OFF -DLLAMA_BUILD_NUMBER=0 \
  -DLLAMA_BUILD_COMMIT="llama-cpp-python-$version" -DBUILD_SHARED_LIBS=OFF
targets=(llama-bench llama-perplexity llama-quantize)
if [ -d "$source/tools/completion" ]; then targets+=(llama-completion); else targets+=(llama-cli); fi
cmake --build "$root/build" --config Release -j "$jobs" --target "${targets[@]}"

mkdir -p "$root/bin"
for target in "${targets[@]}"; do
  ln -sf "$root/build/bin/$target" "$root/bin/$target"
done
[ -e "$root/bin/llama-completion" ] || ln -sf "$root/build/bin/llama-cli" "$root/bin/llama-completion"
echo "llama.cpp of llama-cpp-python $version: $root/bin"
