// SPDX-License-Identifier: Apache-2.0
// The words of a folder as the keys of a GGUF file, such that the file is read as the folder is.

import Foundation
public import ReFTTensor

extension ModelText {
  /// What a GGUF file has to say of words: the tokenizer's keys and the chat template.
  ///
  /// - Parameter source: a stored model; one in GGUF says it itself, and gives nothing here.
  /// - Returns: the keys in the order in which they are written.
  /// - Throws: as `init`, and `badData` for a tokenizer that GGUF has no keys for.
  public static func outputValues(
    of source: any TensorSource
  ) throws(ReFTError) -> [(key: String, value: GGUFOutputValue)] {
    let path = source.path + "/tokenizer.json"
    guard source.format == .huggingFace, FileManager.default.fileExists(atPath: path) else {
      return []
    }
    let settings = try TokenizerSettings(folder: source.path)
    let text = try ModelText(source)
    var metadata = try TokenizerFile(path: path).metadata
    try settings.apply(to: &metadata)
    var values = try metadata.outputValues(text.tokenizer, path: path)
    if let template = settings.chatTemplate {
      values.append(("tokenizer.chat_template", .string(template.source)))
    }
    return values
  }
}

extension TokenizerMetadata {
  /// The keys of a GGUF file.
  ///
  /// - Throws: `badData` for a kind that is not written.
  fileprivate func outputValues(
    _ tokenizer: Tokenizer,
    path: String
  ) throws(ReFTError) -> [(key: String, value: GGUFOutputValue)] {
    guard let model, ["gpt2", "llama", "bert"].contains(model), !hasWholeWordsOnly else {
      throw .tokenizerNotWritten(model ?? "none", path: path)
    }
    if model == "bert", let fault = wordPieceFault {
      throw .wordPiecesNotWritten(fault, path: path)
    }
    var values: [(key: String, value: GGUFOutputValue)] = [
      ("tokenizer.ggml.model", .string(model))
    ]
    if let preTokenizer { values.append(("tokenizer.ggml.pre", .string(preTokenizer))) }
    let written = model == "bert" ? phantomTexts : tokens.texts
    values.append(("tokenizer.ggml.tokens", .texts(written)))
    let kinds = types ?? [Int](repeating: TokenKind.normal.rawValue, count: tokens.count)
    values.append(("tokenizer.ggml.token_type", .int32s(kinds.map(Int32.init(clamping:)))))
    switch model {
    case "llama":
      values.append(("tokenizer.ggml.scores", .float32s(scoresOfMerges(tokenizer))))
      values.append(("tokenizer.ggml.add_space_prefix", .bool(addsPrefix(tokenizer))))
    default:
      if let merges {
        values.append(("tokenizer.ggml.merges", .texts(merges.texts.map(Self.spaced))))
      }
    }
    for (role, id) in allRoles(tokenizer).sorted(by: { $0.key < $1.key }) {
      values.append(("tokenizer.ggml.\(role)_token_id", .uint32(UInt32(clamping: id))))
    }
    if let end = ends.first(where: { $0 != roles["eos"] }), roles["eot"] == nil {
      values.append(("tokenizer.ggml.eot_token_id", .uint32(UInt32(clamping: end))))
    }
    values.append(("tokenizer.ggml.add_bos_token", .bool(tokenizer.addsBOS)))
    return values
  }

  /// The tokens with a meaning, among them those that stand around a text.
  private func allRoles(_ tokenizer: Tokenizer) -> [String: Int] {
    let parts = tokenizer.frame.single
    let frame = model == "bert" ? TextFrame.bert : TextFrame.roberta
    guard parts.count == 3, case .token(let cls, _) = parts[0],
      case .token(let separator, _) = parts[2],
      tokenizer.frame == frame(cls, separator)
    else { return roles }
    return roles.merging(["cls": Int(cls), "seperator": Int(separator)]) { $1 }
  }

  /// What of a WordPiece tokenizer GGUF cannot say; nil where it says all.
  private var wordPieceFault: String? {
    guard affixes.continuation == Array("##".utf8) else { return "continuing_subword_prefix" }
    // Letters with marks, Chinese ones and control characters show each step of BERT's normaliser.
    let probe = "AÉ e\u{301}中ß\u{1}\u{A0}x"
    func read(_ normalizer: Normalizer) -> [UInt8] {
      Array(probe.utf8).withUnsafeBufferPointer { normalizer.apply($0, isFirst: true) }
    }
    return read(normalizer ?? .bert) == read(.bert) ? nil : "normalizer"
  }

  /// The texts of WordPiece as GGUF has them: ▁ before what begins a word, nothing before what goes on.
  private var phantomTexts: [[UInt8]] {
    tokens.texts.enumerated().map { id, text in
      if types?[id] ?? TokenKind.normal.rawValue != TokenKind.normal.rawValue { return text }
      let mark = affixes.continuation
      guard text.starts(with: mark), text.count > mark.count else {
        return SentencePieceText.space + text
      }
      return Array(text.dropFirst(mark.count))
    }
  }

  /// Whether a text without a space before it is read as with one, by what the tokenizer does.
  private func addsPrefix(_ tokenizer: Tokenizer) -> Bool {
    guard let first = tokenizer.encode("a").first, Int(first) < tokens.count else { return false }
    return tokens.texts[Int(first)].starts(with: "▁".utf8)
  }

  /// A merge of two texts with a space between them, in place of the zero byte of tokenizer.json.
  private static func spaced(_ merge: [UInt8]) -> [UInt8] { merge.map { $0 == 0 ? 0x20 : $0 } }

  /// Scores that order pieces as the merges that make them: those of a later merge are lower, and
  /// pieces that no merge makes are lowest.
  private func scoresOfMerges(_ tokenizer: Tokenizer) -> [Float] {
    if let scores { return scores }
    let lines = merges?.texts ?? []
    var scores = [Float](repeating: -Float(lines.count + 1), count: tokens.count)
    var isSet = [Bool](repeating: false, count: tokens.count)
    for (rank, line) in lines.enumerated() {
      guard let cut = line.firstIndex(of: 0) ?? line.firstIndex(of: 0x20) else { continue }
      let whole = Array(line[..<cut] + line[(cut + 1)...])
      let id = whole.withUnsafeBufferPointer {
        tokenizer.vocabulary.index.id(of: $0, in: tokenizer.vocabulary.texts)
      }
      guard id >= 0, !isSet[Int(id)] else { continue }
      scores[Int(id)] = -Float(rank)
      isSet[Int(id)] = true
    }
    return scores
  }
}

extension StringTable {
  /// All texts, as bytes.
  fileprivate var texts: [[UInt8]] { (0..<count).map { Array(bytes[range($0)]) } }
}

extension ReFTError {
  fileprivate static func tokenizerNotWritten(_ kind: String, path: String) -> ReFTError {
    ReFTError(
      .badData,
      "Tokenizer '\(path)' is of the kind '\(kind)', which this version does not write to GGUF; it "
        + "writes byte-level BPE, SentencePiece's BPE and WordPiece. Use the folder as it is."
    )
  }

  fileprivate static func wordPiecesNotWritten(_ part: String, path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): '\(part)' is not that of BERT without cases, the only WordPiece that GGUF knows; use "
        + "the folder as it is"
    )
  }
}
