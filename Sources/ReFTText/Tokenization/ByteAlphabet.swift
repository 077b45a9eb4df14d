// SPDX-License-Identifier: Apache-2.0
// The printable alphabet in which GPT-2 style vocabularies write bytes: a space stands as Ġ.

/// The map between bytes and the characters that stand for them in a vocabulary.
enum ByteAlphabet {
  /// Whether a byte stands for itself.
  private static func isPrintable(_ byte: Int) -> Bool {
    (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
  }

  /// The byte that each of the scalars U+0000 to U+0143 stands for; −1 for those that stand for none.
  static let bytes: [Int16] = {
    var bytes = [Int16](repeating: -1, count: 0x144)
    var next = 0x100
    for byte in 0..<256 {
      if isPrintable(byte) {
        bytes[byte] = Int16(byte)
      } else {
        bytes[next] = Int16(byte)
        next += 1
      }
    }
    return bytes
  }()

  /// Appends what a vocabulary's text stands for; a character outside the alphabet stands for itself.
  static func decode(
    _ text: UnsafeBufferPointer<UInt8>,
    into table: inout StringTable,
    alphabet: [Int16]
  ) {
    let scanned = ByteText(bytes: text)
    var index = 0
    while index < text.count {
      let scalar = scanned.scalar(at: index, end: text.count)
      let byte = scalar.value < 0x144 ? alphabet[Int(scalar.value)] : -1
      if byte >= 0 {
        table.appendByte(UInt8(truncatingIfNeeded: byte))
      } else {
        for offset in 0..<scalar.length { table.appendByte(text[index + offset]) }
      }
      index += scalar.length
    }
    table.endString()
  }

  /// The UTF-8 of the character that stands for each byte.
  static let written = characters()

  /// Makes `written`.
  private static func characters() -> [[UInt8]] {
    var characters = [[UInt8]](repeating: [], count: 256)
    for (value, byte) in bytes.enumerated() where byte >= 0 {
      guard let scalar = Unicode.Scalar(UInt32(value)) else { continue }
      characters[Int(byte)] = Array(String(Character(scalar)).utf8)
    }
    return characters
  }
}
