#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes files/*.json: small tokenizer.json files in the styles of published models, trained by the
tokenizers library on this repository's own documentation, and the ids that the library gives.

    pip install tokenizers
    Tests/Fixtures/tokenization/make_tokenizer_files.py
"""
import json
import pathlib
import random

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
DIGITS3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DIGITS1 = DIGITS3.replace(r"\p{N}{1,3}", r"\p{N}")
LINES = []
for page in sorted((ROOT / "docs").glob("*.md"))[:4]:
    LINES += [line for line in page.read_text(encoding="utf-8").splitlines() if line.strip()]
LINES = LINES[:300] + ["caf\u00e9 cafe\u0301 na\u00efve"] * 3


def byte_level(name):
    tokenizer = Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=name in ("gpt2", "smollm"))
    first = {
        "gpt2": [],
        "smollm": [pre_tokenizers.Digits(individual_digits=True)],
        "llama3": [pre_tokenizers.Split(Regex(DIGITS3), "isolated")],
        "qwen2": [pre_tokenizers.Split(Regex(DIGITS1), "isolated")],
    }[name]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(first + [level]) if first else level
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|begin|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    if name == "llama3":
        tokenizer.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 0)]),
        ])
    tokenizer.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    return tokenizer


def written(name):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    replace = normalizers.Replace(" ", "\u2581")
    prepend = [normalizers.Prepend("\u2581")] if name == "llama2" else []
    tokenizer.normalizer = normalizers.Sequence(prepend + [replace]) if prepend else replace
    if name == "gemma":
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=800, special_tokens=special + bytes_, show_progress=False, max_token_length=12
    )
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", 2)]
    )
    tokenizer.add_tokens(
        [AddedToken(text, special=False, normalized=False) for text in ("\n\n", "<b>")]
    )
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = [t for t in document["added_tokens"] if t["content"] not in bytes_]
    return Tokenizer.from_str(json.dumps(document))


rng = random.Random(11)
PARTS = ["the ", "plugin", " ", "  ", "\n", "\n\n", "\u00e9", "e\u0301", "\u65e5\u672c", "\U0001f642", "<b>", "<tool>", "it's",
         "I'LL", "2026", "<0x0A>", "<|end|>", "<eos>", "hidden state", "\t", "\r\n", "x", "--", "\u2581"]
TEXTS = ["", " ", "Hello, world!", " leading", "trailing ", "caf\u00e9 cafe\u0301", "1234567 3.14"]
TEXTS += ["".join(rng.choice(PARTS) for _ in range(rng.randint(1, 14))) for _ in range(100)]

folder = HERE / "files"
folder.mkdir(exist_ok=True)
expected = {"note": "made by make_tokenizer_files.py", "version": tokenizers.__version__,
            "texts": TEXTS, "ids": {}}
for name in ("gpt2", "smollm", "llama3", "qwen2", "gemma", "llama2"):
    tokenizer = byte_level(name) if name in ("gpt2", "smollm", "llama3", "qwen2") else written(name)
    (folder / f"{name}.json").write_text(
        json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=True, separators=(",", ":")) + "\n"
    )
    expected["ids"][name] = [tokenizer.encode(text).ids for text in TEXTS]
    print(name, tokenizer.get_vocab_size())
(folder / "expected.json").write_text(
    json.dumps(expected, ensure_ascii=True, separators=(",", ":")) + "\n"
)
