// SPDX-License-Identifier: Apache-2.0
// What a `tokenizer.json` says of cutting text, and of what its tokens stand for. Each part is one
// that is known, or an error that names it.

import ReFTTensor

extension TokenizerFile {
  /// The parts of a sequence, or the one part, of a key; none where it is null.
  func parts(_ key: String, _ inner: String) throws(ReFTError) -> [JSONNode] {
    guard let node = root[key], !node.isEmpty else { return [] }
    var parts: [JSONNode] = []
    var open = [node]
    while let next = open.popLast() {
      if try text("type", of: next) == "Sequence" {
        open += try list(inner, of: next).reversed()
      } else {
        parts.append(next)
      }
    }
    return parts
  }

  func unknownPart(_ node: JSONNode, _ key: String, _ known: String) -> ReFTError {
    let name = node["type"]?.shown ?? "a part without a type"
    return .tokenizerPart(path, node.place, key, name, known)
  }

  /// Whether tokens are written in the byte alphabet.
  func isByteLevel() throws(ReFTError) -> Bool {
    for (key, inner) in [("pre_tokenizer", "pretokenizers"), ("normalizer", "normalizers")] {
      for node in try parts(key, inner) where try text("type", of: node) == "ByteLevel" {
        return true
      }
    }
    return false
  }

  /// Reads the pre-tokenizers.
  mutating func readCuts() throws(ReFTError) {
    var steps: [PreTokenizer.Step] = []
    for node in try parts("pre_tokenizer", "pretokenizers") { steps += try cuts(node) }
    // SmolLM's and StarCoder's cut is one by hand.
    if steps.count == 3, case .cut(let digits) = steps[0], case .gpt2 = steps[1],
      case .alphabet = steps[2], digits.behavior == .isolated, case .scalars = digits.finder,
      try text("type", of: parts("pre_tokenizer", "pretokenizers")[0]) == "Digits"
    {
      steps = [.gpt2SingleDigits]
    }
    // The byte alphabet matters to the steps behind it alone.
    while case .alphabet? = steps.last { steps.removeLast() }
    set { $0.cuts = PreTokenizer(steps: steps) }
  }

  private mutating func cuts(_ node: JSONNode) throws(ReFTError) -> [PreTokenizer.Step] {
    func scalars(_ set: ScalarSet, _ behavior: CutBehavior) -> PreTokenizer.Step {
      .cut(TextCut(finder: .scalars(ScalarClassTable(set)), behavior: behavior))
    }
    switch try text("type", of: node) {
    case "ByteLevel":
      let hasSpace = try flag("add_prefix_space", of: node) ?? true
      let hasExpression = try flag("use_regex", of: node) ?? true
      return (hasSpace ? [.leadingSpace] : []) + (hasExpression ? [.gpt2] : []) + [.alphabet]
    case "Digits":
      let isIndividual = try flag("individual_digits", of: node) ?? false
      return [scalars(.numbers, isIndividual ? .isolated : .contiguous)]
    case "Punctuation": return [scalars(.punctuation, try behavior(node) ?? .isolated)]
    case "BertPreTokenizer": return PreTokenizer.bert.steps
    case "WhitespaceSplit": return [scalars(.space, .removed)]
    case "Whitespace":
      return [scalars(.space, .removed), scalars(.joinedWord, .contiguous)]
    case "CharDelimiterSplit":
      let delimiter = try text("delimiter", of: node) ?? ""
      return [.cut(TextCut(finder: .literal(Array(delimiter.utf8)), behavior: .removed))]
    case "Metaspace": return try metaspace(node)
    case "Split": return [try split(node)]
    default:
      throw unknownPart(
        node,
        "pre_tokenizer",
        "BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, Metaspace, Punctuation, Split, "
          + "Whitespace, WhitespaceSplit"
      )
    }
  }

  private mutating func metaspace(_ node: JSONNode) throws(ReFTError) -> [PreTokenizer.Step] {
    let block = Array((try text("replacement", of: node) ?? "▁").utf8)
    let addsPrefix = try flag("add_prefix_space", of: node) ?? true
    let scheme = try text("prepend_scheme", of: node) ?? (addsPrefix ? "always" : "never")
    let prefix: SentencePiecePrefix =
      scheme == "never" ? .never : scheme == "first" ? .first : .everyPart
    set { $0.prefix = prefix }
    guard try flag("split", of: node) ?? true else { return [.blocks(block, prefix)] }
    let cut = TextCut(finder: .literal(block), behavior: .mergedWithNext)
    return [.blocks(block, prefix), .cut(cut)]
  }

  private func behavior(_ node: JSONNode) throws(ReFTError) -> CutBehavior? {
    guard let name = try text("behavior", of: node) else { return nil }
    if let behavior = CutBehavior(rawValue: name) { return behavior }
    let known = "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous"
    throw .tokenizerPart(path, node.place, "behavior", "'\(name.shown())'", known)
  }

  private func split(_ node: JSONNode) throws(ReFTError) -> PreTokenizer.Step {
    let behavior = try behavior(node) ?? .isolated
    let isInverted = try flag("invert", of: node) ?? false
    let pattern = try member("pattern", of: node)
    if let expression = try text("Regex", of: pattern), !isInverted, behavior == .isolated {
      do throws(ExpressionFault) {
        return try PreTokenizer.cut(at: expression)
      } catch {
        throw expressionError(expression, error, pattern.place)
      }
    }
    return .cut(
      TextCut(finder: try finder(pattern), behavior: behavior, isInverted: isInverted)
    )
  }

  /// What a pattern finds: `{"String": …}` or `{"Regex": …}`.
  func finder(_ pattern: JSONNode) throws(ReFTError) -> TextFinder {
    if let literal = try text("String", of: pattern) { return .literal(Array(literal.utf8)) }
    if let source = try text("Regex", of: pattern) {
      return try expression(source, pattern.place)
    }
    throw .tokenizerPart(path, pattern.place, "pattern", pattern.shown, "a String or a Regex")
  }

  private func expression(_ source: String, _ place: TextPlace) throws(ReFTError) -> TextFinder {
    do throws(ExpressionFault) {
      return .expression(try Expression(source))
    } catch {
      throw expressionError(source, error, place)
    }
  }

  private func expressionError(
    _ source: String,
    _ fault: ExpressionFault,
    _ place: TextPlace
  ) -> ReFTError {
    .tokenizerPart(
      path,
      place,
      "the expression '\(source.shown())'",
      "one that \(fault.reason)",
      "letters, classes, groups, loops and looks ahead"
    )
  }

  // MARK: Decoding

  /// Reads what the tokens stand for.
  mutating func readDecoder() throws(ReFTError) {
    guard metadata.model != "gpt2" else { return }
    var writing = Vocabulary.Writing.sentencePiece
    var strips: Bool?
    let nodes = try parts("decoder", "decoders")
    for node in nodes {
      switch try text("type", of: node) {
      case "WordPiece":
        let prefix = Array((try text("prefix", of: node) ?? "##").utf8)
        writing = .words(continuation: prefix, cleans: try flag("cleanup", of: node) ?? true)
        strips = true
      case "BPEDecoder":
        writing = .wordEnds(Array((try text("suffix", of: node) ?? "</w>").utf8))
        strips = false
      case "Metaspace":
        let scheme = try text("prepend_scheme", of: node) ?? "always"
        let addsPrefix = try flag("add_prefix_space", of: node) ?? true
        strips = scheme != "never" && addsPrefix
      case "Strip": strips = node["start"]?.number ?? 0 > 0
      case "ByteLevel":
        writing = .byteAlphabet
        strips = false
      default: continue  // Replace, ByteFallback and Fuse are what the writing with ▁ does.
      }
    }
    if nodes.isEmpty {
      strips = metadata.prefix != .never
      // Words without a decoder are joined by spaces.
      if metadata.model == "bert" {
        writing = .words(continuation: [], cleans: false)
        strips = true
      }
    }
    set {
      $0.writing = writing
      $0.stripsFirstSpace = strips ?? false
    }
  }
}
