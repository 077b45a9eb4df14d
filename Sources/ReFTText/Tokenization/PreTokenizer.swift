// SPDX-License-Identifier: Apache-2.0
// Cuts a text into the pieces inside which a model finds tokens. The expressions of GPT-2 and Llama 3
// are cutters written by hand (PreTokenizer+Rules.swift); all others run as they stand in the file.
// What the names in GGUF files stand for is in PreTokenizer+Names.swift.

/// The way in which a vocabulary cuts text.
package struct PreTokenizer: Sendable {
  /// One of the cuts, each of which cuts the pieces of the one before.
  enum Step: Sendable {
    /// GPT-2's expression.
    case gpt2
    /// GPT-2's expression behind a cut at each `\p{N}`.
    case gpt2SingleDigits
    /// Llama 3's expression with at most `digits` scalars in a number.
    case llama3(digits: Int)
    case cut(TextCut)
    /// A space in front of each piece that does not begin with one.
    case leadingSpace
    /// Spaces written as another text, and one more of it in front as the prefix says.
    case blocks([UInt8], SentencePiecePrefix)
    /// Each byte as a character of the byte alphabet; the steps behind it cut what is so written.
    case alphabet
  }

  /// The cuts, in order.
  var steps: [Step]
  /// Whether a piece that is itself a token is taken whole, whatever the merges say.
  var takesWholePieces = false
  /// Whether texts start with the beginning-of-text token where the file does not say.
  var addsBOSByDefault = false

  /// A pre-tokenizer of some cuts; without any, a text is one piece.
  init(steps: [Step]) { self.steps = steps }

  /// The pieces of a text, in order.
  package func pieces(of text: String) -> [String] {
    var pieces: [String] = []
    Array(text.utf8).withUnsafeBufferPointer { bytes in
      forEachPiece(of: ByteText(bytes: bytes), from: 0, to: bytes.count) { text, start, end in
        pieces.append(String(decoding: text.bytes[start..<end], as: UTF8.self))
      }
    }
    return pieces
  }

  /// Calls `body` with each piece of `text[start..<end]`, in order; no piece is empty.
  ///
  /// - Parameters:
  ///   - text: the text.
  ///   - start: where the part begins.
  ///   - end: where it ends.
  ///   - isFirst: whether nothing stands before the part in the text that somebody wrote.
  ///   - body: is given the text in which the piece lies, which some cuts write anew, and its place;
  ///     the text is valid until it returns.
  func forEachPiece(
    of text: ByteText,
    from start: Int,
    to end: Int,
    isFirst: Bool = true,
    _ body: (_ text: ByteText, _ start: Int, _ end: Int) -> Void
  ) {
    guard start < end else { return }
    cut(text, start, end, isFirst: isFirst, steps[...], body)
  }

  private func cut(
    _ text: ByteText,
    _ start: Int,
    _ end: Int,
    isFirst: Bool,
    _ rest: ArraySlice<Step>,
    _ body: (_ text: ByteText, _ start: Int, _ end: Int) -> Void
  ) {
    guard let step = rest.first else { return body(text, start, end) }
    let further = rest.dropFirst()
    func piece(_ from: Int, _ to: Int) {
      if further.isEmpty { return body(text, from, to) }
      cut(text, from, to, isFirst: isFirst && from == start, further, body)
    }
    switch step {
    case .gpt2: text.forEachGPT2Piece(from: start, to: end, piece)
    case .gpt2SingleDigits: text.forEachSingleDigitPiece(from: start, to: end, piece)
    case .llama3(let digits):
      var index = start
      while index < end {
        let next = text.llama3PieceEnd(from: index, end: end, digits: digits)
        piece(index, next)
        index = next
      }
    case .cut(let cut): cut.forEachPiece(of: text, from: start, to: end, piece)
    case .leadingSpace:
      if text.bytes[start] == 0x20 { return piece(start, end) }
      rewrite([0x20] + text.bytes[start..<end], isFirst: isFirst, further, body)
    case .blocks(let block, let prefix):
      var written: [UInt8] = []
      written.reserveCapacity((end - start) * 5 / 4 + block.count)
      for byte in text.bytes[start..<end] {
        if byte == 0x20 { written += block } else { written.append(byte) }
      }
      let wants = prefix == .everyPart || prefix == .first && isFirst
      if wants, !written.starts(with: block) { written.insert(contentsOf: block, at: 0) }
      rewrite(written, isFirst: isFirst, further, body)
    case .alphabet: cutAlphabet(text, start, end, further, body)
    }
  }

  private func rewrite(
    _ bytes: [UInt8],
    isFirst: Bool,
    _ rest: ArraySlice<Step>,
    _ body: (_ text: ByteText, _ start: Int, _ end: Int) -> Void
  ) {
    bytes.withUnsafeBufferPointer {
      cut(ByteText(bytes: $0), 0, $0.count, isFirst: isFirst, rest, body)
    }
  }

  /// Cuts what the byte alphabet writes, and gives the pieces of the bytes themselves.
  private func cutAlphabet(
    _ text: ByteText,
    _ start: Int,
    _ end: Int,
    _ rest: ArraySlice<Step>,
    _ body: (_ text: ByteText, _ start: Int, _ end: Int) -> Void
  ) {
    if rest.isEmpty { return body(text, start, end) }
    let characters = ByteAlphabet.written
    var written: [UInt8] = []
    // How many bytes of the text are written before each byte of what is written.
    var places: [Int] = []
    for index in start..<end {
      let character = characters[Int(text.bytes[index])]
      written += character
      places += repeatElement(index, count: character.count)
    }
    places.append(end)
    rewrite(written, isFirst: false, rest) { _, from, to in body(text, places[from], places[to]) }
  }
}

extension ByteText {
  fileprivate func forEachGPT2Piece(
    from start: Int,
    to end: Int,
    _ body: (_ start: Int, _ end: Int) -> Void
  ) {
    var index = start
    while index < end {
      let next = gpt2PieceEnd(from: index, end: end)
      body(index, next)
      index = next
    }
  }

  /// Cuts at `\p{N}` first; what lies between two numbers is a text of its own, so that white
  /// space before a number counts as white space at the end of a text.
  fileprivate func forEachSingleDigitPiece(
    from start: Int,
    to end: Int,
    _ body: (_ start: Int, _ end: Int) -> Void
  ) {
    var runStart = start
    var index = start
    while index < end {
      let scalar = scalar(at: index, end: end)
      if scalar.scalarClass == .number {
        forEachGPT2Piece(from: runStart, to: index, body)
        body(index, index + scalar.length)
        runStart = index + scalar.length
      }
      index += scalar.length
    }
    forEachGPT2Piece(from: runStart, to: end, body)
  }
}
