#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes kinds/*: small tokenizers of the other kinds (WordPiece, unigrams, expressions, markers, pairs)
as tokenizer.json and tokenizer.model, trained on this repository's own documentation, and what the
tokenizers and sentencepiece libraries make of some texts.

    pip install tokenizers sentencepiece
    Tests/Fixtures/tokenization/make_kinds.py
"""
import io
import json
import pathlib
import random

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers
import tokenizers

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
LINES = []
for page in sorted((ROOT / "docs").glob("*.md"))[:4]:
    LINES += [line for line in page.read_text(encoding="utf-8").splitlines() if line.strip()]
LINES = LINES[:300] + ["caf\u00e9 cafe\u0301 na\u00efve \u65e5\u672c\u8a9e \ufb01ne \u00c5ngstr\u00f6m"] * 3

rng = random.Random(23)
PARTS = ["the ", "plugin", " ", "  ", "\n", "\u00e9", "e\u0301", "\u65e5\u672c", "\U0001f642", "<b>", "<tool>", "it's", "I'LL", "2026",
         "[MASK]", "[SEP]", "hidden state", "\t", "\r\n", "x", "--", "\u2581", "Don't", "...", "\u00c0\u00c8\u00d1", "\ufb01", "\u2460\u00bd",
         "\u00a0", "\u200b", "\u0130", "\u1e9e", "\u0e01\u0e33", "\ud55c\uad6d", "word", "keyword", "$3.50", "e.g.", "HTTPServer", "\u212b", "\x07", "\u3000"]
TEXTS = ["", " ", "Hello, world!", " leading", "trailing ", "caf\u00e9 cafe\u0301 \u00c5ngstr\u00f6m", "1234567 3.14", "\u65e5\u672c\u8a9e \u30c6\u30ad\u30b9\u30c8",
         "a" * 120, "the word wordy [MASK]  word<tool>  <b>  x"]
TEXTS += ["".join(rng.choice(PARTS) for _ in range(rng.randint(1, 12))) for _ in range(60)]
PAIRS = [("the plugin", "hidden state"), ("x", ""), ("", "x"), ("the plugin is it's own", "no"),
         ("x y", "the plugin is it's own hidden state")]

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def wordpiece(cased):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.train_from_iterator(LINES, trainers.WordPieceTrainer(
        vocab_size=500, special_tokens=SPECIAL, show_progress=False))
    if cased:
        t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    else:
        t.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    t.add_special_tokens([AddedToken("[MASK]", lstrip=True, normalized=False)])
    t.add_tokens([AddedToken("word", single_word=True), AddedToken("<tool>", rstrip=True)])
    return t


def word_level():
    t = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.StripAccents(),
                                         normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    t.train_from_iterator(LINES, trainers.WordLevelTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False))
    return t


def roberta():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(LINES, trainers.BpeTrainer(
        vocab_size=500, special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    t.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    return t


GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
ISOLATED = lambda p: pre_tokenizers.Split(Regex(p), "isolated")
CUTS = {
    "gpt4o": [ISOLATED(GPT4O)],
    "falcon": [pre_tokenizers.Punctuation("contiguous"), "level", pre_tokenizers.Digits(individual_digits=False),
               ISOLATED("[0-9][0-9][0-9]")],
    "deepseek3": [ISOLATED(r"\p{N}{1,3}"), ISOLATED("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
                  ISOLATED(r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
                           r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")],
    "bloom": [ISOLATED(" ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+")],
    "odd": [pre_tokenizers.Split(Regex(r"(?<x>a)|b") if False else Regex(r"\d+(?=x)|[aeiou]{2,}?|\bthe\b|^.|(?>a+b?)|\s{2,}+"), "removed"),
            pre_tokenizers.Split("x", "merged_with_previous"), pre_tokenizers.Split(".", "merged_with_next"),
            pre_tokenizers.Split(Regex(r"[A-Z]+"), "contiguous", invert=True)],
}


def expression(name):
    t = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=name == "falcon")
    cuts = [level if cut == "level" else cut for cut in CUTS[name]]
    t.pre_tokenizer = pre_tokenizers.Sequence(cuts if level in cuts else cuts + [level])
    if name == "odd":
        t.normalizer = normalizers.Sequence([normalizers.Replace(Regex(r"\s\s+"), "  "), normalizers.Replace("--", "\u2014"),
                                             normalizers.NFD()])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(LINES, trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return t


def unigram(kind, rule, **more):
    """The model as SentencePiece writes it, and its ids."""
    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=writer, model_type=kind, vocab_size=600, byte_fallback=rule != "nmt_nfkc",
        hard_vocab_limit=False, normalization_rule_name=rule, user_defined_symbols=["<tool>", "<b>"], num_threads=1,
        minloglevel=2, **more)
    return writer.getvalue()


def t5(proto):
    """The same as a tokenizer.json, as converters write it."""
    import base64
    import sentencepiece.sentencepiece_model_pb2 as pb
    m = pb.ModelProto.FromString(proto)
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in m.pieces], m.trainer_spec.unk_id, False))
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap),
                                         normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    t.decoder = decoders.Metaspace()
    t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)])
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    return t


def metaspace_bpe():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False, continuing_subword_prefix="@@", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    t.decoder = decoders.BPEDecoder()
    t.train_from_iterator(LINES, trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>"], show_progress=False,
                                                     continuing_subword_prefix="@@", end_of_word_suffix="</w>"))
    return t


folder = HERE / "kinds"
folder.mkdir(exist_ok=True)
expected = {"note": "made by make_kinds.py", "versions": [tokenizers.__version__, sentencepiece.__version__],
            "texts": TEXTS, "pairs": PAIRS, "kinds": {}}


def keep(name, t):
    (folder / f"{name}.json").write_text(json.dumps(json.loads(t.to_str()), ensure_ascii=True, separators=(",", ":")) + "\n")
    pairs = [t.encode(a, b) for a, b in PAIRS]
    t.enable_truncation(9)
    cut = [t.encode(a, b) for a, b in PAIRS]
    t.no_truncation()
    expected["kinds"][name] = {
        "ids": [t.encode(x, add_special_tokens=False).ids for x in TEXTS],
        "decoded": [t.decode(t.encode(x, add_special_tokens=False).ids, skip_special_tokens=False) for x in TEXTS],
        "pairs": [p.ids for p in pairs], "types": [p.type_ids for p in pairs], "cut": [p.ids for p in cut],
    }
    print(name, t.get_vocab_size())


keep("wordpiece", wordpiece(False))
keep("wordpiece-cased", wordpiece(True))
keep("wordlevel", word_level())
keep("roberta", roberta())
keep("affixes", metaspace_bpe())
for name in CUTS:
    keep(name, expression(name))
for name, proto in (("unigram", unigram("unigram", "nmt_nfkc")), ("unigram-bytes", unigram("unigram", "nfkc_cf", remove_extra_whitespaces=False)),
                    ("bpe", unigram("bpe", "nmt_nfkc", add_dummy_prefix=True)), ("bpe-plain", unigram("bpe", "identity", add_dummy_prefix=False))):
    (folder / f"{name}.model").write_bytes(proto)
    p = sentencepiece.SentencePieceProcessor(model_proto=proto)
    expected["kinds"][name] = {"ids": [p.encode(x) for x in TEXTS], "decoded": [p.decode(p.encode(x)) for x in TEXTS]}
    print(name, p.get_piece_size())
    if name == "unigram":
        keep("t5", t5(proto))
(folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=True, separators=(",", ":")) + "\n")
