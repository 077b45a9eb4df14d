#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a GGUF model of random weights, to see memory and rate at sizes that nobody wants to download.

    Benchmarks/make_synthetic_gguf.py --tokenizer SmolLM2-135M-Instruct.Q4_1.gguf --out /tmp/1b.gguf
    Benchmarks/make_synthetic_gguf.py --tokenizer ... --type Q8_0 --blocks 32 --width 4096 --ffn 11008 --out /tmp/7b.gguf

The tokenizer (and with it the vocabulary) is copied from another GGUF file. Block matrices get the
chosen type, the tied embedding Q8_0, the norms F32, as llama.cpp's quantiser does. The default shape has 1.07 billion
weights. Weights are random with zero mean and a spread of 0.02, so that activations stay in range; the
text such a model writes means nothing. The same seed gives the same file. Needs nothing but Python 3.9.
"""
import argparse
import random
import struct
import sys

ALIGNMENT = 32
SPREAD = 0.02
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
U32, F32, STRING, ARRAY = 4, 6, 8, 9
TYPES = {"F32": 0, "Q4_0": 2, "Q4_1": 3, "Q8_0": 8}
FILE_TYPES = {"Q4_0": 2, "Q4_1": 3, "Q8_0": 7}


class Metadata:
    """The key-value part of a GGUF file, each value kept as the bytes it has in the file."""

    def __init__(self, path):
        self.file = open(path, "rb")
        magic, version, _, count = struct.unpack("<4sIQQ", self.file.read(24))
        if magic != b"GGUF" or version not in (2, 3):
            sys.exit(f"error: {path} is no GGUF file of version 2 or 3")
        self.values = {}
        for _ in range(count):
            key = self._string()[8:].decode()
            (kind,) = struct.unpack("<I", self.file.read(4))
            self.values[key] = (kind, self._value(kind))
        self.file.close()

    def _string(self):
        length = self.file.read(8)
        return length + self.file.read(struct.unpack("<Q", length)[0])

    def _value(self, kind):
        if kind == STRING:
            return self._string()
        if kind != ARRAY:
            return self.file.read(SIZES[kind])
        head = self.file.read(12)
        item, count = struct.unpack("<IQ", head)
        if item == STRING:
            return head + b"".join(self._string() for _ in range(count))
        return head + self.file.read(count * SIZES[item])


def string(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def half(value):
    return struct.pack("<e", value)


def rows(kind, count, source):
    """`count` random weights as the file stores them."""
    if kind == "F32":
        return struct.pack("<f", 1.0) * count
    blocks = count // 32
    if kind == "Q4_0":  # the same about −0.5 steps, whose sign changes from block to block
        step, size, offset, bytes_each = SPREAD / 4.61, 18, 2, 16
        head = half(step)
    elif kind == "Q4_1":  # 16 levels, evenly spread, have a deviation of 4.61 steps and a mean of 7.5
        step, size, offset, bytes_each = SPREAD / 4.61, 20, 4, 16
        head = half(step) + half(-7.5 * step)
    else:  # Q8_0: 256 levels, 73.9 steps
        step, size, offset, bytes_each = SPREAD / 73.9, 34, 2, 32
        head = half(step)
    noise = source.randbytes(blocks * bytes_each)
    made = bytearray(blocks * size)
    for at, byte in enumerate(head):
        made[at::size] = bytes([byte]) * blocks
    if kind == "Q4_0":
        made[1::2 * size] = bytes([half(-step)[1]]) * len(made[1::2 * size])
    for at in range(bytes_each):
        made[offset + at::size] = noise[at::bytes_each]
    return made


def tensors(a, vocabulary):
    """Name, dimensions (columns first) and type of every tensor."""
    kv = a.width // a.heads * a.kv_heads
    yield "token_embd.weight", (a.width, vocabulary), "Q8_0"
    for i in range(a.blocks):
        b = f"blk.{i}."
        yield b + "attn_norm.weight", (a.width,), "F32"
        yield b + "attn_q.weight", (a.width, a.width), a.type
        yield b + "attn_k.weight", (a.width, kv), a.type
        yield b + "attn_v.weight", (a.width, kv), a.type
        yield b + "attn_output.weight", (a.width, a.width), a.type
        yield b + "ffn_norm.weight", (a.width,), "F32"
        yield b + "ffn_gate.weight", (a.width, a.ffn), a.type
        yield b + "ffn_up.weight", (a.width, a.ffn), a.type
        yield b + "ffn_down.weight", (a.ffn, a.width), a.type
    yield "output_norm.weight", (a.width,), "F32"


def byte_count(dimensions, kind):
    count = dimensions[0] * (dimensions[1] if len(dimensions) > 1 else 1)
    return {"F32": 4 * count, "Q4_0": count // 32 * 18, "Q4_1": count // 32 * 20, "Q8_0": count // 32 * 34}[kind]


def padded(size):
    return -(-size // ALIGNMENT) * ALIGNMENT


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="a GGUF file to take the tokenizer from")
    parser.add_argument("--out", required=True)
    parser.add_argument("--type", choices=("Q4_0", "Q4_1", "Q8_0"), default="Q4_1")
    for name, value in (("blocks", 16), ("width", 2048), ("heads", 32), ("kv-heads", 8), ("ffn", 8192), ("context", 8192), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--quick", action="store_true", help="repeat the same random rows, for measurements of speed alone")
    a = parser.parse_args()
    if a.width % 32 or a.ffn % 32 or a.width % a.heads or a.heads % a.kv_heads:
        sys.exit("error: width and ffn must be multiples of 32, width of heads, heads of kv-heads")
    source = Metadata(a.tokenizer).values
    kind, raw = source["tokenizer.ggml.tokens"]
    vocabulary = struct.unpack("<IQ", raw[:12])[1]
    plan = list(tensors(a, vocabulary))
    weights = sum(d[0] * (d[1] if len(d) > 1 else 1) for _, d, _ in plan)
    u32 = lambda value: (U32, struct.pack("<I", value))
    f32 = lambda value: (F32, struct.pack("<f", value))
    values = {
        "general.architecture": (STRING, string("llama")),
        "general.name": (STRING, string(f"synthetic {weights / 1e9:.2f}B")),
        "general.file_type": u32(FILE_TYPES[a.type]),
        "general.quantization_version": u32(2),
        "general.alignment": u32(ALIGNMENT),
        "llama.block_count": u32(a.blocks), "llama.context_length": u32(a.context),
        "llama.embedding_length": u32(a.width), "llama.feed_forward_length": u32(a.ffn),
        "llama.attention.head_count": u32(a.heads), "llama.attention.head_count_kv": u32(a.kv_heads),
        "llama.rope.freq_base": f32(100000.0), "llama.attention.layer_norm_rms_epsilon": f32(1e-5),
        "llama.rope.dimension_count": u32(a.width // a.heads), "llama.vocab_size": u32(vocabulary),
        **{key: value for key, value in source.items() if key.startswith("tokenizer.")},
    }
    random_source = random.Random(a.seed)
    known = {}

    def made(kind, count):
        if not a.quick:
            return rows(kind, count, random_source)
        if (kind, count) not in known:
            known[kind, count] = rows(kind, count, random_source)
        return known[kind, count]

    with open(a.out, "wb") as out:
        out.write(struct.pack("<4sIQQ", b"GGUF", 3, len(plan), len(values)))
        for key, (kind, raw) in values.items():
            out.write(string(key) + struct.pack("<I", kind) + raw)
        at = 0
        for name, dimensions, kind in plan:
            out.write(string(name) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, TYPES[kind], at))
            at += padded(byte_count(dimensions, kind))
        out.write(bytes(padded(out.tell()) - out.tell()))
        for name, dimensions, kind in plan:
            size = byte_count(dimensions, kind)
            columns, count = dimensions[0], dimensions[1] if len(dimensions) > 1 else 1
            for first in range(0, count, 4096):  # a few rows at a time: no matrix is ever held whole
                out.write(made(kind, columns * min(4096, count - first)))
            out.write(bytes(padded(size) - size))
        print(f"{a.out}: {weights / 1e9:.2f} billion weights, {out.tell() / 1e6:,.0f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
