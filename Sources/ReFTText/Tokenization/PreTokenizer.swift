// SPDX-License-Identifier: Apache-2.0
// Cuts a text into the pieces inside which byte pairs merge. The cutters are written by hand, one
// per family of regular expressions; each states the expression that it is equal to.

/// The way in which a vocabulary cuts text before merging.
package struct PreTokenizer: Sendable {
  /// The family of the regular expression.
  private enum Rule: Sendable {
    /// GPT-2's expression; with `singleDigits`, each `\p{N}` is first cut off by itself.
    case gpt2(singleDigits: Bool)
    /// Llama 3's expression with at most `digits` scalars in a number.
    case llama3(digits: Int)
  }

  private let rule: Rule
  /// Whether a piece that is itself a token is taken whole, whatever the merges say.
  let takesWholePieces: Bool
  /// Whether texts start with the beginning-of-text token where the file does not say.
  let addsBOSByDefault: Bool

  /// The names of `tokenizer.ggml.pre` that are understood, for messages.
  static let supportedNames = ["smollm", "gpt-2", "llama-bpe", "qwen2", "mpt"]

  /// The pre-tokenizer of a name in `tokenizer.ggml.pre`; nil for an unknown one.
  package init?(named name: String) {
    switch name {
    case "smollm", "starcoder", "refact", "codeshell":
      self.init(rule: .gpt2(singleDigits: true))
    case "gpt-2", "phi-2", "mpt", "olmo", "jais":
      self.init(rule: .gpt2(singleDigits: false))
    case "llama-bpe", "llama3", "llama-v3":
      self.init(rule: .llama3(digits: 3), takesWholePieces: true, addsBOSByDefault: true)
    case "qwen2", "deepseek-r1-qwen":
      self.init(rule: .llama3(digits: 1))
    default:
      return nil
    }
  }

  private init(rule: Rule, takesWholePieces: Bool = false, addsBOSByDefault: Bool = false) {
    self.rule = rule
    self.takesWholePieces = takesWholePieces
    self.addsBOSByDefault = addsBOSByDefault
  }

  /// The pieces of a text, in order.
  package func pieces(of text: String) -> [String] {
    var pieces: [String] = []
    Array(text.utf8).withUnsafeBufferPointer { bytes in
      forEachPiece(of: ByteText(bytes: bytes), from: 0, to: bytes.count) { start, end in
        pieces.append(String(decoding: bytes[start..<end], as: UTF8.self))
      }
    }
    return pieces
  }

  /// Calls `body` with the start and end of each piece of `text[start..<end]`, in order.
  ///
  /// The pieces are not empty and cover the range without gaps.
  @inline(__always)
  func forEachPiece(
    of text: ByteText,
    from start: Int,
    to end: Int,
    _ body: (_ start: Int, _ end: Int) -> Void
  ) {
    switch rule {
    case .gpt2(singleDigits: false):
      forEachGPT2Piece(of: text, from: start, to: end, body)
    case .gpt2(singleDigits: true):
      forEachSingleDigitPiece(of: text, from: start, to: end, body)
    case .llama3(let digits):
      var index = start
      while index < end {
        let next = text.llama3PieceEnd(from: index, end: end, digits: digits)
        body(index, next)
        index = next
      }
    }
  }

  private func forEachGPT2Piece(
    of text: ByteText,
    from start: Int,
    to end: Int,
    _ body: (_ start: Int, _ end: Int) -> Void
  ) {
    var index = start
    while index < end {
      let next = text.gpt2PieceEnd(from: index, end: end)
      body(index, next)
      index = next
    }
  }

  /// Cuts at `\p{N}` first; what lies between two numbers is a text of its own, so that white
  /// space before a number counts as white space at the end of a text.
  private func forEachSingleDigitPiece(
    of text: ByteText,
    from start: Int,
    to end: Int,
    _ body: (_ start: Int, _ end: Int) -> Void
  ) {
    var runStart = start
    var index = start
    while index < end {
      let scalar = text.scalar(at: index, end: end)
      if scalar.scalarClass == .number {
        forEachGPT2Piece(of: text, from: runStart, to: index, body)
        body(index, index + scalar.length)
        runStart = index + scalar.length
      }
      index += scalar.length
    }
    forEachGPT2Piece(of: text, from: runStart, to: end, body)
  }
}
