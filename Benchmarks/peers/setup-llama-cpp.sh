#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds llama.cpp's command line tools for this machine in a scratch folder:
#   ${REFT_BENCH_DIR:-~/.cache/reft/bench}/llama-cpp/bin/{llama-bench,llama-completion,llama-perplexity,llama-quantize}
# Where the processor has AMX a second build goes to bin-no-amx/: tiles take the place of the repacked
# AVX-512 kernels, and which of the two is faster depends on the work. The benchmarks run both.
# The source is the one inside llama-cpp-python's source package, so pip is the only download.
# REFT_BENCH_JOBS sets the number of compiler processes (default: all cores).
set -euo pipefail

version="${LLAMA_CPP_PYTHON_VERSION:-0.3.36}"
scratch="${REFT_BENCH_DIR:-$HOME/.cache/reft/bench}"
root="$scratch/llama-cpp"
jobs="${REFT_BENCH_JOBS:-$(nproc)}"
here="$(cd "$(dirname "$0")" && pwd)"
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

# has FLAG…: ON where /proc/cpuinfo shows every one of them.
has() {
  for flag in "$@"; do
    grep -m1 '^flags' /proc/cpuinfo | grep -qw "$flag" || { echo OFF; return; }
  done
  echo ON
}

# make_tools FOLDER BIN TARGETS OPTIONS…: configures, builds, links into $root/BIN.
make_tools() {
  local folder="$root/$1" bin="$root/$2" targets="$3"
  shift 3
  cmake -S "$source" -B "$folder" -DCMAKE_BUILD_TYPE=Release -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF \
    -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_MTMD=OFF \
    -DLLAMA_BUILD_NUMBER=0 -DLLAMA_BUILD_COMMIT="llama-cpp-python-$version" -DBUILD_SHARED_LIBS=OFF "$@"
  # shellcheck disable=SC2086
  cmake --build "$folder" --config Release -j "$jobs" --target $targets
  mkdir -p "$bin"
  for target in $targets; do
    ln -sf "$folder/bin/$target" "$bin/$target"
  done
  [ -e "$bin/llama-completion" ] || ln -sf "$folder/bin/llama-cli" "$bin/llama-completion"
}

if [ -d "$source/tools/completion" ]; then completion=llama-completion; else completion=llama-cli; fi
make_tools build bin "llama-bench llama-perplexity llama-quantize $completion" -DGGML_NATIVE=ON \
  "-DCMAKE_PROJECT_llama.cpp_INCLUDE=$here/gcc-tiles.cmake"
if [ "$(has amx_tile)" = ON ]; then
  make_tools build-no-amx bin-no-amx "llama-bench $completion" -DGGML_NATIVE=OFF \
    -DCMAKE_C_FLAGS=-mtune=native -DCMAKE_CXX_FLAGS=-mtune=native \
    -DGGML_SSE42="$(has sse4_2)" -DGGML_AVX="$(has avx)" -DGGML_AVX2="$(has avx2)" -DGGML_FMA="$(has fma)" \
    -DGGML_F16C="$(has f16c)" -DGGML_BMI2="$(has bmi2)" -DGGML_AVX_VNNI="$(has avx_vnni)" \
    -DGGML_AVX512="$(has avx512f avx512cd avx512vl avx512dq avx512bw)" \
    -DGGML_AVX512_VBMI="$(has avx512vbmi)" -DGGML_AVX512_VNNI="$(has avx512_vnni)" \
    -DGGML_AVX512_BF16="$(has avx512_bf16)" \
    -DGGML_AMX_TILE=OFF -DGGML_AMX_INT8=OFF -DGGML_AMX_BF16=OFF
fi
echo "llama.cpp of llama-cpp-python $version: $root/bin"
