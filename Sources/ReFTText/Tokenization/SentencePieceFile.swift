// SPDX-License-Identifier: Apache-2.0
// `tokenizer.model`: SentencePiece's own file, a message of Protocol Buffers with the pieces, the
// trainer's choices and the normaliser's.

package import ReFTTensor

/// Reads a `tokenizer.model` into the values that a tokenizer is built from.
struct SentencePieceFile {
  /// The most bytes of such a file.
  private static let limit = 256 << 20

  private let path: String
  private(set) var metadata = TokenizerMetadata()
  private var types: [Int] = []
  private var scores: [Float] = []
  private var isBytePairs = false
  private var ids = ["unknown": 0, "bos": 1, "eos": 2, "padding": -1]

  /// Reads a file.
  ///
  /// - Throws: `inputMissing`, `inputOutput`, or `badData` naming the byte that breaks the format.
  init(path: String) throws(ReFTError) {
    self.path = path
    let bytes = try TextFile.bytes(path: path, limit: Self.limit)
    metadata.squeezesSpaces = true
    metadata.roundsScores = true
    var message = ProtobufReader(bytes[...], path: path)
    while let field = try message.next() {
      switch field.number {
      case 1: try readPiece(try field.message(path))
      case 2: try readTrainer(try field.message(path))
      case 3: try readNormalizer(try field.message(path))
      default: continue
      }
    }
    metadata.model = isBytePairs ? "llama" : "t5"
    metadata.types = types
    metadata.scores = scores
    for (role, id) in ids where metadata.tokens.count > id && id >= 0 {
      // A model may leave one of them out, and give its number to another piece.
      if role == "unknown" ? types[id] == 2 : types[id] == 3 { metadata.roles[role] = id }
    }
  }

  private mutating func readPiece(_ bytes: ArraySlice<UInt8>) throws(ReFTError) {
    guard types.count < Vocabulary.limit else {
      throw .tokenizerTooLarge(
        "pieces",
        count: types.count + 1,
        limit: Vocabulary.limit,
        path: path
      )
    }
    var message = ProtobufReader(bytes, path: path)
    var text: ArraySlice<UInt8> = []
    var (score, type) = (Float(0), 1)
    while let field = try message.next() {
      switch field.number {
      case 1: text = try field.message(path)
      case 2: score = Float(bitPattern: UInt32(truncatingIfNeeded: field.value))
      case 3: type = Int(truncatingIfNeeded: field.value)
      default: continue
      }
    }
    metadata.tokens.append(text)
    types.append(type)
    scores.append(score)
  }

  private mutating func readTrainer(_ bytes: ArraySlice<UInt8>) throws(ReFTError) {
    var message = ProtobufReader(bytes, path: path)
    while let field = try message.next() {
      switch field.number {
      case 3:
        guard field.value == 1 || field.value == 2 else {
          throw .sentencePiecePart("model_type", "\(field.value)", "1 (unigram) or 2 (BPE)", path)
        }
        isBytePairs = field.value == 2
      case 24 where field.value != 0:
        throw .sentencePiecePart("treat_whitespace_as_suffix", "true", "false", path)
      case 40: ids["unknown"] = Int(Int32(truncatingIfNeeded: field.value))
      case 41: ids["bos"] = Int(Int32(truncatingIfNeeded: field.value))
      case 42: ids["eos"] = Int(Int32(truncatingIfNeeded: field.value))
      case 43: ids["padding"] = Int(Int32(truncatingIfNeeded: field.value))
      default: continue
      }
    }
  }

  private mutating func readNormalizer(_ bytes: ArraySlice<UInt8>) throws(ReFTError) {
    var message = ProtobufReader(bytes, path: path)
    while let field = try message.next() {
      switch field.number {
      case 2: metadata.characterMap = Array(try field.message(path))
      case 3 where field.value == 0: metadata.prefix = .never
      case 4: metadata.squeezesSpaces = field.value != 0
      case 5 where field.value == 0:
        throw .sentencePiecePart("escape_whitespaces", "false", "true", path)
      default: continue
      }
    }
  }
}

/// Reads the fields of a message of Protocol Buffers, none of which is copied.
private struct ProtobufReader {
  /// One field.
  struct Field {
    /// Its number.
    var number: UInt64
    /// Its value, of the kinds that are numbers; floats by their bits.
    var value: UInt64 = 0
    /// Its bytes, of the kind that has a length.
    var bytes: ArraySlice<UInt8>?

    /// The bytes of a text or message.
    func message(_ path: String) throws(ReFTError) -> ArraySlice<UInt8> {
      guard let bytes else {
        throw .sentencePiecePart("field \(number)", "a number", "a text or a message", path)
      }
      return bytes
    }
  }

  private var rest: ArraySlice<UInt8>
  private let path: String

  init(_ bytes: ArraySlice<UInt8>, path: String) {
    rest = bytes
    self.path = path
  }

  /// The next field; nil at the end.
  mutating func next() throws(ReFTError) -> Field? {
    guard !rest.isEmpty else { return nil }
    let key = try number()
    var field = Field(number: key >> 3)
    switch key & 7 {
    case 0: field.value = try number()
    case 1: field.value = try fixed(8)
    case 5: field.value = try fixed(4)
    case 2:
      let count = try number()
      guard count <= UInt64(rest.count) else { throw broken("a length beyond the end") }
      field.bytes = rest.prefix(Int(count))
      rest = rest.dropFirst(Int(count))
    default: throw broken("a field of kind \(key & 7)")
    }
    return field
  }

  private func broken(_ found: String) -> ReFTError {
    .sentencePiecePart("byte \(rest.startIndex)", found, "a SentencePiece model", path)
  }

  private mutating func number() throws(ReFTError) -> UInt64 {
    var value: UInt64 = 0
    for place in 0..<10 {
      guard let byte = rest.popFirst() else { throw broken("the end within a number") }
      value |= UInt64(byte & 0x7F) << UInt64(7 * place)
      if byte & 0x80 == 0 { return value }
    }
    throw broken("a number without end")
  }

  private mutating func fixed(_ count: Int) throws(ReFTError) -> UInt64 {
    guard rest.count >= count else { throw broken("the end within a number") }
    var value: UInt64 = 0
    for (place, byte) in rest.prefix(count).enumerated() {
      value |= UInt64(byte) << UInt64(8 * place)
    }
    rest = rest.dropFirst(count)
    return value
  }
}

extension Tokenizer {
  /// Builds the tokenizer that a SentencePiece model describes.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - settings: what `tokenizer_config.json` beside it says; nil where there is none.
  /// - Throws: `inputMissing`, `inputOutput`, or `badData` naming the file and what is wrong.
  package convenience init(
    sentencePiece path: String,
    settings: TokenizerSettings?
  ) throws(ReFTError) {
    var metadata = try SentencePieceFile(path: path).metadata
    if let settings { try settings.apply(to: &metadata) }
    try self.init(metadata, path: path)
  }
}

extension ReFTError {
  static func sentencePiecePart(
    _ place: String,
    _ found: String,
    _ expected: String,
    _ path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): \(place) is \(found); expected \(expected); fetch the file again, or use the model's "
        + "tokenizer.json"
    )
  }
}
