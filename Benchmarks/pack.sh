#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Gathers what the benchmarks need on a machine without Swift, compilers and network:
#
#   Benchmarks/pack.sh OUT                      # OUT/reft-bench.tar.xz
#   Benchmarks/pack.sh OUT --model M.gguf       # … and the model in parts below 50 MiB, OUT/model.part-*
#   Benchmarks/pack.sh OUT --wheels 3.12        # … and pyreft with what it imports, for that Python: OUT/wheels.tar,
#                                               # and OUT/wheels-large.tar.part-* for a machine that lacks the large ones
#
# There: unpack, `cat model.part-* > M.gguf`, and `python3 reft-bench/Benchmarks/away.py --model M.gguf`.
# The peer is built by peers/setup-llama-cpp.sh first, for processors like this one. REFT_BENCH_DATA names
# GSM8K's train.jsonl, of which 64 rows travel.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
root="$(dirname "$here")"
scratch="${REFT_BENCH_DIR:-$HOME/.cache/reft/bench}"
data="${REFT_BENCH_DATA:-$root/../shared/data/gsm8k/train.jsonl}"
model="" wheels=""
out="${1:?where to: Benchmarks/pack.sh OUT [--model M.gguf] [--wheels PYTHON]}"
shift
while [ $# -gt 0 ]; do
  case "$1" in
    --model) model="${2:?--model wants a file}" ;;
    --wheels) wheels="${2:?--wheels wants a version of Python such as 3.12}" ;;
    *) echo "error: '$1' is no option; --model and --wheels are" >&2; exit 64 ;;
  esac
  shift 2
done
[ -f "$data" ] || { echo "error: no data at $data; set REFT_BENCH_DATA to GSM8K's train.jsonl" >&2; exit 66; }

mkdir -p "$out"
out="$(cd "$out" && pwd)"
pack="$out/reft-bench"
rm -rf "$pack"
mkdir -p "$pack/bin" "$pack/peers/lib" "$pack/data"

cd "$root"
for product in reft LoReFT; do
  swift build -c release --static-swift-stdlib --product "$product" >&2
done
strip -o "$pack/bin/reft" .build/release/reft
strip --strip-unneeded -o "$pack/bin/libLoReFT.so" .build/release/libLoReFT.so

[ -x "$scratch/llama-cpp/bin/llama-bench" ] || bash "$here/peers/setup-llama-cpp.sh" >&2
for folder in bin bin-no-amx; do
  [ -d "$scratch/llama-cpp/$folder" ] || continue
  mkdir -p "$pack/peers/llama-cpp/$folder"
  for tool in llama-bench llama-completion llama-quantize; do
    [ -e "$scratch/llama-cpp/$folder/$tool" ] || continue
    strip -o "$pack/peers/llama-cpp/$folder/$tool" "$(readlink -f "$scratch/llama-cpp/$folder/$tool")"
  done
done
# Libraries that such a machine may lack.
for program in "$pack"/bin/reft "$pack"/peers/llama-cpp/*/*; do
  ldd "$program" | awk '/lib(gomp|stdc\+\+|gcc_s|ffi|nettle)\.so/ { print $3 }'
done | sort -u | while read -r library; do
  cp -L "$library" "$pack/peers/lib/"
done

mkdir "$pack/Benchmarks"
cp -r "$here"/*.py "$here/harness" "$pack/Benchmarks/"
find "$pack" -name __pycache__ -prune -exec rm -rf {} +
head -n 64 "$data" > "$pack/data/train.jsonl"

tar -C "$out" -c reft-bench | xz -T0 -6 > "$out/reft-bench.tar.xz"

if [ -n "$model" ]; then
  rm -f "$out"/model.part-*
  split -b 49M -d -a 1 "$model" "$out/model.part-"
fi
if [ -n "$wheels" ]; then
  # What pyreft, pyvene and gguf import beside torch, transformers and numpy, which that machine has.
  rm -rf "$out/wheels" "$out/wheels-large"
  mkdir "$out/wheels"
  python3 -m pip --disable-pip-version-check download -q --no-deps --only-binary :all: \
    --python-version "$wheels" --implementation cp --abi "cp${wheels/./}" --abi abi3 --abi none \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 \
    --platform manylinux2014_x86_64 --platform any -d "$out/wheels" \
    pyreft==0.1.0 pyvene==0.1.8 gguf "datasets<4" accelerate evaluate dill==0.3.8 multiprocess==0.70.16 \
    pandas pyarrow scipy scikit-learn matplotlib contourpy kiwisolver pillow cycler fonttools pyparsing \
    joblib threadpoolctl narwhals python-dateutil six xxhash aiohttp aiohappyeyeballs aiosignal attrs \
    frozenlist multidict propcache yarl requests urllib3 charset-normalizer cloudpickle psutil \
    sentencepiece protobuf tzdata
  # The small ones in one archive; the large ones, which many a machine has already, in parts.
  mkdir "$out/wheels-large"
  find "$out/wheels" -name '*.whl' -size +3M -exec mv -t "$out/wheels-large" {} +
  tar -C "$out" -cf "$out/wheels.tar" wheels
  tar -C "$out" -c wheels-large | split -b 49M -d -a 1 - "$out/wheels-large.tar.part-"
fi
du -h "$out"/*.tar* "$out"/*.part-* | sort -u
