#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes sentencepiece.json: a small BPE vocabulary, trained by the SentencePiece library on this
repository's own documentation, and the ids that the library gives for some texts.

    pip install sentencepiece protobuf
    Tests/Fixtures/tokenization/make_sentencepiece.py
"""
import io
import json
import pathlib
import random

import sentencepiece
import sentencepiece.sentencepiece_model_pb2 as model_pb2

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
TYPES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6}  # SentencePiece's and GGUF's numbers are the same

lines = []
for page in sorted((ROOT / "docs").glob("*.md"))[:4]:
    lines += [line for line in page.read_text(encoding="utf-8").splitlines() if line.strip()]

writer = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(lines[:400]),
    model_writer=writer,
    model_type="bpe",
    vocab_size=700,
    byte_fallback=True,
    normalization_rule_name="identity",
    remove_extra_whitespaces=False,
    add_dummy_prefix=True,
    user_defined_symbols=["▁▁", "\n", "\n\n", "<b>"],
    num_threads=1,
    minloglevel=2,
)
proto = model_pb2.ModelProto.FromString(writer.getvalue())

rng = random.Random(7)
parts = ["the ", "plugin", " ", "  ", "   ", "\n", "\n\n", "é", "日本", "🙂", "▁", "<b>", "<0x0A>", "<s>",
         "hidden state", "0", "\t", "\u0301", "of", "a" * 40, "x"]
texts = ["", " ", "Hello world", " leading", "trailing ", "tabs\tand\nnewlines", "naïve café"]
texts += ["".join(rng.choice(parts) for _ in range(rng.randint(1, 14))) for _ in range(120)]


def ids(prefix):
    proto.normalizer_spec.add_dummy_prefix = prefix
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    return [processor.encode(text) for text in texts]


document = {
    "note": "made by make_sentencepiece.py",
    "version": sentencepiece.__version__,
    # GGUF writes the spaces of user-defined pieces as spaces.
    "pieces": [p.piece.replace("▁", " ") if p.type == 4 else p.piece for p in proto.pieces],
    "scores": [piece.score for piece in proto.pieces],
    "types": [TYPES[piece.type] for piece in proto.pieces],
    "texts": texts,
    "prefixed": ids(True),
    "plain": ids(False),
}
target = HERE / "sentencepiece.json"
target.write_text(json.dumps(document, ensure_ascii=True, separators=(",", ":")) + "\n")
print(f"{target.name}: {len(texts)} texts, {len(proto.pieces)} pieces")
