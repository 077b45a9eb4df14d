// SPDX-License-Identifier: Apache-2.0
// What a `tokenizer.json` says of its text before and after the model: normalising, cutting, and the
// tokens around. Each part is one that is known, or an error that names it.

import ReFTTensor

extension TokenizerFile {
  /// The regular expressions in the wild, and the pre-tokenizers that are equal to them.
  private static let expressions: [String: String] = [
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#:
      "llama-bpe",
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#:
      "qwen2",
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#: "gpt-2",
  ]

  /// Understands the parts around the model.
  mutating func readPipeline(
    _ root: JSONNode,
    fallsBack: Bool,
    wholePieces: Bool?
  ) throws(ReFTError) {
    let cutters = try parts("pre_tokenizer", "pretokenizers")
    var isByteLevel = false
    for node in cutters where try text("type", of: node) == "ByteLevel" { isByteLevel = true }
    if isByteLevel {
      guard !fallsBack else {
        let expected = "false beside ByteLevel"
        throw .tokenizerPart(path, root.place, "model.byte_fallback", "true", expected)
      }
      let name = try byteLevelName(cutters)
      set {
        $0.model = "gpt2"
        $0.preTokenizer = name
        $0.takesWholePieces = wholePieces ?? false
        $0.addsBOS = false
      }
    } else {
      try readWriting(cutters)
    }
    try readNormalizer(isByteLevel: isByteLevel)
    try readFrame()
  }

  /// The parts of a sequence, or the one part, of a key; none where it is null.
  func parts(_ key: String, _ inner: String) throws(ReFTError) -> [JSONNode] {
    guard let node = root[key], !node.isEmpty else { return [] }
    return try text("type", of: node) == "Sequence" ? try list(inner, of: node) : [node]
  }

  func unknownPart(_ node: JSONNode, _ key: String, _ known: String) -> ReFTError {
    let name = node["type"]?.shown ?? "a part without a type"
    return .tokenizerPart(path, node.place, key, name, known)
  }

  // MARK: Cutting

  /// The pre-tokenizer of a byte-level tokenizer, by GGUF's name.
  private func byteLevelName(_ cutters: [JSONNode]) throws(ReFTError) -> String {
    var (name, hasDigits): (String?, Bool) = (nil, false)
    for node in cutters {
      switch try text("type", of: node) {
      case "ByteLevel":
        if try flag("add_prefix_space", of: node) ?? true {
          throw .tokenizerPart(path, node.place, "add_prefix_space", "true", "false")
        }
        if try flag("use_regex", of: node) ?? true { name = "gpt-2" }
      case "Digits":
        guard try flag("individual_digits", of: node) ?? false else {
          throw .tokenizerPart(path, node.place, "individual_digits", "false", "true")
        }
        hasDigits = true
      case "Split": name = try splitName(node)
      default: throw unknownPart(node, "pre_tokenizer", "ByteLevel, Digits, Split")
      }
    }
    guard let name, !hasDigits || name == "gpt-2" else {
      throw .tokenizerPart(
        path,
        root.place,
        "pre_tokenizer",
        "ByteLevel without an expression, or Digits before another one",
        "an expression"
      )
    }
    return hasDigits ? "smollm" : name
  }

  private func splitName(_ node: JSONNode) throws(ReFTError) -> String {
    let pattern = try member("pattern", of: node)
    guard let expression = try text("Regex", of: pattern),
      let name = Self.expressions[expression],
      try text("behavior", of: node) == "Isolated", try flag("invert", of: node) != true
    else {
      throw .tokenizerPart(
        path,
        pattern.place,
        "the expression of pre_tokenizer",
        (try text("Regex", of: pattern)).map { "'\($0.shown())'" } ?? pattern.shown,
        "GPT-2's, Llama 3's or Qwen 2's"
      )
    }
    return name
  }

  // MARK: Writing

  /// A tokenizer over text in which ▁ is a space.
  private mutating func readWriting(_ cutters: [JSONNode]) throws(ReFTError) {
    var prefix = SentencePiecePrefix.never
    for node in cutters {
      switch try text("type", of: node) {
      case "Split":
        // Gemma's cut at spaces, of which the normaliser leaves none.
        let pattern = try member("pattern", of: node)
        guard try text("String", of: pattern) == " " else {
          throw unknownPart(node, "pre_tokenizer", "a Split at a space, Metaspace, ByteLevel")
        }
      case "Metaspace":
        guard try text("replacement", of: node) == "▁", try flag("split", of: node) == false else {
          throw unknownPart(node, "pre_tokenizer", "Metaspace with ▁ that does not split")
        }
        let scheme = try text("prepend_scheme", of: node) ?? "always"
        prefix = scheme == "never" ? .never : scheme == "first" ? .first : .everyPart
      default: throw unknownPart(node, "pre_tokenizer", "Split, Metaspace, ByteLevel")
      }
    }
    set {
      $0.model = "llama"
      $0.prefix = prefix
      $0.findsOwnTokensInText = true
      $0.addsBOS = false
    }
  }

  private mutating func readNormalizer(isByteLevel: Bool) throws(ReFTError) {
    for node in try parts("normalizer", "normalizers") {
      switch (try text("type", of: node), isByteLevel) {
      case ("NFC", _): set { $0.composes = true }
      case ("Prepend", false):
        guard try text("prepend", of: node) == "▁" else {
          throw unknownPart(node, "normalizer", "Prepend of ▁")
        }
        set { $0.prefix = .everyPart }
      case ("Replace", false):
        let pattern = try member("pattern", of: node)
        guard try text("String", of: pattern) == " ", try text("content", of: node) == "▁" else {
          throw unknownPart(node, "normalizer", "Replace of a space by ▁")
        }
      default: throw unknownPart(node, "normalizer", "NFC, Prepend, Replace")
      }
    }
  }
}
