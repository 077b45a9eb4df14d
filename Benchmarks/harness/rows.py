# SPDX-License-Identifier: Apache-2.0
"""The rows of the table: what is run on each side, which figure is compared, and what it must reach."""
from dataclasses import dataclass
from typing import Callable

from . import peers, reft


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    work: str
    sides: Callable  # settings -> {side name: function}, the peer first and ours second
    figure: str = "tokens_per_second"
    unit: str = "tok/s"
    reach: float = 1.0  # ours divided by the peer's
    more_is_better: bool = True
    limit: float | None = None  # what our own figure must not pass, whatever the peer does


def _train(layers, epochs):
    return lambda s: {
        "pyreft": lambda: peers.pyreft_train(s, layers, epochs),
        "reft": lambda: reft.train(s, layers, epochs),
    }


def _decode(s, batch, *more, context=512, model=None):
    return reft.bench(s, "decode", "--context", str(context), "--tokens", "128", "--batch", str(batch), *more, model=model)


def _prefill(s, *more, model=None):
    return reft.bench(s, "prefill", "--tokens", "512", "--repeat", "3", *more, model=model)


def _prefill_of(model, *more):
    """Both sides on a model that `model` names from the settings."""
    return lambda s: {"llama.cpp": lambda: peers.llama_prefill(s, model(s)), "reft": lambda: _prefill(s, *more, model=model(s))}


def _decode_of(model):
    return lambda s: {"llama.cpp": lambda: peers.llama_decode(s, model(s)), "reft": lambda: _decode(s, 1, model=model(s))}


def _short_of(model):
    """16 tokens after a prompt of 512, the whole program from its start to its end."""
    return lambda s: {"llama.cpp": lambda: peers.llama_short(s, model(s)), "reft": lambda: reft.short(s, model(s))}


# A wall time may be so much of the peer's.
SHORT = {"figure": "seconds", "unit": "s", "reach": 0.625, "more_is_better": False}


def _format(kind):
    return lambda s: peers.quantised(s, kind)


# The formats that people have, beside the one of the other rows.
FORMATS = ("Q4_0", "Q8_0", "Q4_K_M", "F16")


INT8 = ("--activations", "int8")
KV8 = ("--kv-cache", "int8")


def _batch(*options, context=512):
    """Eight sequences against one, both ours."""
    return lambda s: {"reft, 1 sequence": lambda: _decode(s, 1, *options, context=context),
                      "reft, 8 sequences": lambda: _decode(s, 8, *options, context=context)}


def _abi(work):
    """Both sides come from one process, in which they take turns."""
    def sides(s):
        made = {}

        def side(key):
            if key not in made:
                document = reft.bench(s, "abi")
                for name, field in (("inlined", f"{work}_inline_seconds"), ("reft", f"{work}_seconds")):
                    made[name] = {"milliseconds": 1000 * document[field], "peak_rss_bytes": document["peak_rss_bytes"]}
            return made.pop(key)

        return {"inlined": lambda: side("inlined"), "reft": lambda: side("reft")}

    return sides


ROWS = {
    "train-all": Row("train, all layers, one epoch", _train("all", 1), reach=3.5),
    "train-top": Row("train, layers 20;24;28, three epochs", _train("20;24;28", 3), reach=4.0),
    "memory-all": Row("peak memory, all layers", _train("all", 1), "peak_rss_bytes", "GB", 0.15, False),
    "memory-top": Row("peak memory, layers 20;24;28", _train("20;24;28", 3), "peak_rss_bytes", "GB", 0.2, False),
    "prefill": Row(
        "prefill 512 tokens",
        lambda s: {"llama.cpp": lambda: peers.llama_prefill(s), "reft": lambda: _prefill(s)},
        reach=2.5,
    ),
    "decode": Row(
        "decode, one sequence, after 512",
        lambda s: {"llama.cpp": lambda: peers.llama_decode(s), "reft": lambda: _decode(s, 1)},
        reach=1.4,
    ),
    "decode-batch": Row("decode, 8 sequences against one, after 512", _batch(), reach=3),
    "decode-batch-kv8": Row("the same with int8 keys and values", _batch(*KV8), reach=3),
    "decode-batch-int8": Row("the same with int8 activations", _batch(*INT8), reach=3),
    "decode-batch-int8-kv8": Row("the same with int8 activations, keys and values", _batch(*INT8, *KV8), reach=3),
    "decode-batch-short": Row("the same with int8 activations, after 16", _batch(*INT8, context=16), reach=3.5),
    "first-token": Row(
        "open the model to first token, prompt of 16",
        lambda s: {"llama.cpp": lambda: peers.llama_first_token(s, True), "reft": lambda: reft.first_token(s),
                   "llama.cpp, no warm-up": lambda: peers.llama_first_token(s, False)},
        "seconds", "s", 0.5, False, 0.3,
    ),
    "short": Row("16 tokens after a prompt of 512, whole program", _short_of(lambda s: s.model), **SHORT),
    "gemma-prefill": Row("Gemma 3 270M (Q4_K_M): prefill 512 tokens", _prefill_of(lambda s: s.gemma)),
    "gemma-decode": Row("Gemma 3 270M (Q4_K_M): decode after 512", _decode_of(lambda s: s.gemma)),
    **{f"prefill-{kind.lower()}": Row(f"{kind}: prefill 512 tokens", _prefill_of(_format(kind)), reach=1.6) for kind in FORMATS},
    **{f"prefill-int8-{kind.lower()}": Row(f"{kind}: the same with int8 activations, as the peer's", _prefill_of(_format(kind), *INT8), reach=3)
       for kind in FORMATS[:3]},
    **{f"decode-{kind.lower()}": Row(f"{kind}: decode after 512", _decode_of(_format(kind)), reach=1.5) for kind in FORMATS},
    **{f"short-{kind.lower()}": Row(f"{kind}: 16 tokens after 512, whole program", _short_of(_format(kind)), **SHORT) for kind in FORMATS},
    "abi-train": Row("a training step through the plugin ABI, against the edit inlined", _abi("train"), "milliseconds", "ms", 1.01, False),
    "abi-decode": Row("a decode step through the plugin ABI, against the edit inlined", _abi("decode"), "milliseconds", "ms", 1.02, False),
}

# One command may fill several rows.
GROUPS = {
    "train-all": ["train-all", "memory-all"],
    "train-top": ["train-top", "memory-top"],
    "memory": ["train-all", "memory-all", "train-top", "memory-top"],
    "decode-batch": ["decode-batch", "decode-batch-kv8", "decode-batch-int8", "decode-batch-int8-kv8", "decode-batch-short"],
    "gemma": ["gemma-prefill", "gemma-decode"],
    "formats": [f"{work}-{kind.lower()}" for work in ("prefill", "prefill-int8", "decode", "short") for kind in FORMATS
                if f"{work}-{kind.lower()}" in ROWS],
    "abi-overhead": ["abi-train", "abi-decode"],
}
