#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes pieces.json: texts, and how the published regular expressions cut them.

    python3 -m pip install regex
    python3 make_pieces.py > pieces.json

The expressions are those of the tokenizers; `regex` knows \\p{L} and \\p{N}. Scalars are taken from
those assigned in this Python's unicodedata only, so that newer tables agree.
"""
import json, random, sys, unicodedata
import regex

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,DIGITS}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def smollm(text):
    pieces = []
    for part in regex.split(r"(\p{N})", text):
        pieces += [part] if regex.fullmatch(r"\p{N}", part) else regex.findall(GPT2, part)
    return pieces


RULES = {
    "gpt-2": lambda text: regex.findall(GPT2, text),
    "smollm": smollm,
    "llama-bpe": lambda text: regex.findall(LLAMA3.replace("DIGITS", "3"), text),
    "qwen2": lambda text: regex.findall(LLAMA3.replace("DIGITS", "1"), text),
}

TEXTS = [
    "", " ", "  ", "\n", "\n\n \n", "a", "'s", "''s 'S'll'LL 'lx'l 'r 're'RE'v", "don't WE'VE I'd",
    "  two   spaces\t\ttabs \n\n  end  ", "x\r\n\r\n  y\n\t z \r", "1 12 123 1234 12345 3.14 a1b22",
    "  1", "a  1  b", "½ ² ③ Ⅳ ٣٤", "naïve e\u0301 café", "日本語 テキスト、漢字。", "한국어 문장",
    "\u00a0nbsp\u2003em\u3000wide\u200bzero\u0085next\u2028line", "!!! ?! \n!!\n\n?", "_a_b-c", "$5.00!\r\n",
    " 'tis 'twas", "\u1680\u180e\u202f\u205f", "🙂🚀 👩\u200d👩", " \u0301x", "\x1c\x1d\x1e\x1f \x0b\x0c",
]

KINDS = [
    lambda r: chr(r.randrange(0x20, 0x7F)), lambda r: r.choice(" \n\r\t\u00a0\u2003\u3000"),
    lambda r: r.choice("0123456789٣½Ⅳ"), lambda r: r.choice("'sStTrReEvVmMlLdD"),
    lambda r: r.choice("ßéжЖאب漢한ªʰǅ"), lambda r: r.choice("\u0301€—…🙂\u200d\u00ad"),
]


def scalar(r):
    if r.random() < 0.85:
        return r.choice(KINDS)(r)
    while True:
        value = r.randrange(0x20000)
        if unicodedata.category(chr(value)) not in ("Cn", "Cs", "Co"):
            return chr(value)


def main():
    r = random.Random(7)
    texts = TEXTS + ["".join(scalar(r) for _ in range(r.randrange(1, 24))) for _ in range(300)]
    rows = []
    for text in texts:
        row = {"text": text}
        for name, rule in RULES.items():
            row[name] = rule(text)
            assert "".join(row[name]) == text, (name, text)
        rows.append(row)
    json.dump(rows, sys.stdout, ensure_ascii=True, separators=(",", ":"))
    print()


main()
