// SPDX-License-Identifier: Apache-2.0
// Reads Unicode scalars out of bytes that may not be UTF-8, and tells the classes that the
// pre-tokenizers' regular expressions speak of.

/// What the regular expressions of byte-level BPE distinguish.
enum ScalarClass: UInt8 {
  /// A scalar that matches `\p{L}`.
  case letter
  /// A scalar that matches `\p{N}`.
  case number
  /// A scalar that matches `\s` (the property White_Space).
  case space
  /// Everything else, also each byte that is no part of valid UTF-8.
  case other
}

/// One scalar of a text, or one byte where the text is not UTF-8.
struct ScannedScalar {
  /// The scalar's value; `invalid` for a byte that is no part of valid UTF-8.
  var value: UInt32
  /// How many bytes it takes.
  var length: Int

  static let invalid = UInt32.max

  /// The class of the scalar in the regular expressions.
  var scalarClass: ScalarClass {
    if value < 0x80 {
      if (value | 0x20) &- 0x61 < 26 { return .letter }
      if value &- 0x30 < 10 { return .number }
      return value == 0x20 || value &- 9 < 5 ? .space : .other
    }
    // The two large blocks of letters without gaps spare a look into the property tables.
    if (0x4E00...0x9FFF).contains(value) || (0xAC00...0xD7A3).contains(value) { return .letter }
    guard let scalar = Unicode.Scalar(value) else { return .other }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
      return .letter
    case .decimalNumber, .letterNumber, .otherNumber:
      return .number
    case .spaceSeparator, .lineSeparator, .paragraphSeparator, .control:
      return scalar.properties.isWhitespace ? .space : .other
    default:
      return .other
    }
  }
}

/// Bytes of a text, read scalar by scalar.
struct ByteText {
  let bytes: UnsafeBufferPointer<UInt8>

  /// The scalar at `index`, not reading at or past `end`.
  @inline(__always)
  func scalar(at index: Int, end: Int) -> ScannedScalar {
    let first = bytes[index]
    if first < 0x80 { return ScannedScalar(value: UInt32(first), length: 1) }
    return multibyteScalar(first, at: index, end: end)
  }

  private func multibyteScalar(_ first: UInt8, at index: Int, end: Int) -> ScannedScalar {
    let broken = ScannedScalar(value: ScannedScalar.invalid, length: 1)
    let length: Int
    var value: UInt32
    let smallest: UInt32
    switch first {
    case 0xC2...0xDF: (length, value, smallest) = (2, UInt32(first & 0x1F), 0x80)
    case 0xE0...0xEF: (length, value, smallest) = (3, UInt32(first & 0x0F), 0x800)
    case 0xF0...0xF4: (length, value, smallest) = (4, UInt32(first & 0x07), 0x10000)
    default: return broken
    }
    guard index + length <= end else { return broken }
    for offset in 1..<length {
      let byte = bytes[index + offset]
      guard byte & 0xC0 == 0x80 else { return broken }
      value = value << 6 | UInt32(byte & 0x3F)
    }
    guard value >= smallest, value <= 0x10FFFF, !(0xD800...0xDFFF).contains(value) else {
      return broken
    }
    return ScannedScalar(value: value, length: length)
  }

  /// The end of the run of scalars from `index` on whose class is `wanted`.
  func runEnd(of wanted: ScalarClass, from index: Int, end: Int) -> Int {
    var index = index
    while index < end {
      let scalar = scalar(at: index, end: end)
      guard scalar.scalarClass == wanted else { break }
      index += scalar.length
    }
    return index
  }
}
