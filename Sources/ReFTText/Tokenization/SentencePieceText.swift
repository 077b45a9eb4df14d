// SPDX-License-Identifier: Apache-2.0
// How SentencePiece writes text and single bytes.

/// How SentencePiece writes text: a space stands as ▁, a byte as `<0x41>`.
enum SentencePieceText {
  /// The UTF-8 of ▁ (U+2581), which stands for a space.
  static let space: [UInt8] = [0xE2, 0x96, 0x81]

  /// The text with spaces written as ▁, with one more in front where `addsPrefix` is set.
  static func written(_ bytes: some Sequence<UInt8>, addsPrefix: Bool) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.underestimatedCount * 5 / 4 + 3)
    if addsPrefix { result += space }
    for byte in bytes {
      if byte == 0x20 { result += space } else { result.append(byte) }
    }
    return result
  }

  /// The byte that a token such as `<0x0A>` stands for, or nil.
  static func byte(of text: UnsafeBufferPointer<UInt8>) -> UInt8? {
    guard text.count == 6, text[0] == 0x3C, text[1] == 0x30, text[2] == 0x78, text[5] == 0x3E,
      let high = digit(text[3]), let low = digit(text[4])
    else { return nil }
    return high << 4 | low
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x41 + 10
    case 0x61...0x66: byte - 0x61 + 10
    default: nil
    }
  }

  /// What the tokens of a vocabulary stand for.
  static func contents(of texts: StringTable, kinds: [TokenKind]) -> StringTable {
    var contents = StringTable()
    contents.reserve(strings: texts.count, bytes: texts.bytes.count)
    texts.bytes.withUnsafeBufferPointer { bytes in
      for id in 0..<texts.count {
        let text = UnsafeBufferPointer(rebasing: bytes[texts.range(id)])
        switch kinds[id] {
        case .unknown, .control: contents.append(text)
        case .byte:
          guard let byte = byte(of: text) else { fallthrough }
          contents.append(CollectionOfOne(byte))
        case .normal, .unused, .userDefined: appendRead(text, to: &contents)
        }
      }
    }
    return contents
  }

  private static func appendRead(_ text: UnsafeBufferPointer<UInt8>, to table: inout StringTable) {
    var index = 0
    while index < text.count {
      if text[index] == space[0], index + 2 < text.count, text[index + 1] == space[1],
        text[index + 2] == space[2]
      {
        table.appendByte(0x20)
        index += 3
      } else {
        table.appendByte(text[index])
        index += 1
      }
    }
    table.endString()
  }
}
