#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs pyreft and what it runs on (PyTorch for CPUs, transformers) into a scratch folder:
#   ${REFT_BENCH_DIR:-~/.cache/reft/bench}/pyreft-venv
# Nothing outside of that folder is touched. About 1.6 GB on disk.
#
# pyreft 0.1.0 pins transformers 4.45.1 and pulls in Jupyter, wandb and a data profiler; pip's
# resolver then walks through every PyTorch release. So pyreft and pyvene are installed without
# their dependencies, and the ones they really import are named here.
set -euo pipefail

scratch="${REFT_BENCH_DIR:-$HOME/.cache/reft/bench}"
venv="$scratch/pyreft-venv"
mkdir -p "$scratch"

if [ ! -x "$venv/bin/python" ]; then
  echo "making $venv" >&2
  python3 -m venv "$venv" || {
    rm -rf "$venv"
    echo "error: python3 -m venv does not work here; install it with: apt-get install python3-venv" >&2
    exit 69
  }
fi
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

if ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
  # The CPU build: from a local wheel folder if pip knows one, else from PyTorch's own index.
  pip install -q --no-input "torch==2.13.0+cpu" 2>/dev/null \
    || pip install -q --no-input "torch==2.13.0" --index-url https://download.pytorch.org/whl/cpu \
    || pip install -q --no-input "torch==2.13.0"
fi
pip install -q --no-input "transformers==4.49.0" gguf safetensors sentencepiece protobuf accelerate \
  "numpy<2.3" "datasets<4" evaluate scikit-learn matplotlib
pip install -q --no-input --no-deps "pyreft==0.1.0" "pyvene==0.1.8"

"$venv/bin/python" - <<'PY'
import importlib.metadata as m
import pyreft, pyvene, torch, transformers
print("pyreft", m.version("pyreft"), "· pyvene", m.version("pyvene"), "· torch", torch.__version__,
      "· transformers", transformers.__version__)
PY
