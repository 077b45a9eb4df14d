// SPDX-License-Identifier: Apache-2.0
// Texts and numbers of JSON.

extension JSONScanner {
  // MARK: Texts

  /// The text that starts here with its quote.
  package mutating func text() throws(JSONFault) -> String {
    let start = offset + 1
    guard take(UInt8(ascii: "\"")) else {
      throw fault("expected a text in double quotes, found \(nextInWords())")
    }
    offset = plainEnd(from: start)
    if offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") {
      let text = try decoded(UnsafeRawBufferPointer(rebasing: bytes[start..<offset]), from: start)
      offset += 1
      return text
    }
    return try escapedText(from: start)
  }

  /// The first byte from a place on that ends a run of plain characters.
  private func plainEnd(from start: Int) -> Int {
    var end = start
    while end < bytes.count {
      let byte = bytes[end]
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte < 0x20 { break }
      end += 1
    }
    return end
  }

  /// A text with escapes in it, from the byte after its quote.
  private mutating func escapedText(from start: Int) throws(JSONFault) -> String {
    var content: [UInt8] = []
    var next = start
    while true {
      let end = plainEnd(from: next)
      offset = next
      let piece = UnsafeRawBufferPointer(rebasing: bytes[next..<end])
      // Each piece alone, so that the fault has its place; a character never spans an escape.
      _ = try decoded(piece, from: next)
      content.append(contentsOf: piece)
      offset = end
      guard end < bytes.count else { throw fault("a text without its closing quote") }
      switch bytes[end] {
      case UInt8(ascii: "\""):
        offset += 1
        return String(decoding: content, as: UTF8.self)
      case UInt8(ascii: "\\"):
        offset += 1
        try escape(into: &content)
      default:
        let digits = String(bytes[end], radix: 16)
        throw fault("an unescaped control character 0x\(digits) in a text")
      }
      next = offset
    }
  }

  /// The characters of bytes, for which the columns are counted on.
  private mutating func decoded(
    _ piece: UnsafeRawBufferPointer,
    from start: Int
  ) throws(JSONFault) -> String {
    guard let text = String(validating: piece, as: UTF8.self) else {
      let count = String(decoding: piece, as: UTF8.self).utf8.count(ofEqualStart: piece)
      offset = start + count
      lineStart += piece.prefix(count).count { $0 & 0xC0 == 0x80 }
      var fault = fault("bytes that are not UTF-8")
      fault.isEncoding = true
      throw fault
    }
    lineStart += piece.count { $0 & 0xC0 == 0x80 }
    return text
  }

  private mutating func escape(into content: inout [UInt8]) throws(JSONFault) {
    guard offset < bytes.count else { throw fault("a text without its closing quote") }
    let byte = bytes[offset]
    offset += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
    case UInt8(ascii: "b"): content.append(0x08)
    case UInt8(ascii: "f"): content.append(0x0C)
    case UInt8(ascii: "n"): content.append(0x0A)
    case UInt8(ascii: "r"): content.append(0x0D)
    case UInt8(ascii: "t"): content.append(0x09)
    case UInt8(ascii: "u"): content.append(contentsOf: String(try escapedScalar()).utf8)
    default:
      offset -= 1
      throw fault("expected an escape such as \\n after '\\', found \(nextInWords())")
    }
  }

  /// The scalar of `XXXX` or of a surrogate pair `XXXX\uXXXX`.
  private mutating func escapedScalar() throws(JSONFault) -> Unicode.Scalar {
    let start = offset - 2
    let high = try codeUnit()
    if let scalar = Unicode.Scalar(high) { return scalar }
    if UTF16.isLeadSurrogate(high), offset + 1 < bytes.count,
      bytes[offset] == UInt8(ascii: "\\"), bytes[offset + 1] == UInt8(ascii: "u")
    {
      offset += 2
      let low = try codeUnit()
      let value = 0x10000 + (UInt32(high & 0x3FF) << 10) + UInt32(low & 0x3FF)
      if UTF16.isTrailSurrogate(low), let scalar = Unicode.Scalar(value) { return scalar }
    }
    offset = start
    throw fault("\\u\(String(high, radix: 16)) is half of a surrogate pair")
  }

  private mutating func codeUnit() throws(JSONFault) -> UInt16 {
    var value: UInt16 = 0
    for place in offset..<offset + 4 {
      guard place < bytes.count, bytes[place] < 0x80,
        let digit = Character(Unicode.Scalar(bytes[place])).hexDigitValue
      else { throw fault("expected four hexadecimal digits after \\u") }
      value = value << 4 | UInt16(digit)
    }
    offset += 4
    return value
  }

  // MARK: Numbers

  private static var longestNumber: Int { 512 }

  /// The number that starts here: digits without a leading zero, a fraction, an exponent.
  mutating func number() throws(JSONFault) -> JSONNode.Content {
    let start = offset
    var end = start
    while end < bytes.count, Self.isNumberByte(bytes[end]), end - start <= Self.longestNumber {
      end += 1
    }
    guard end - start <= Self.longestNumber else {
      throw fault("a number of more than \(Self.longestNumber) characters")
    }
    let text = String(decoding: bytes[start..<end], as: UTF8.self)
    guard Self.isNumber(bytes[start..<end]) else { throw fault("'\(text)' is no JSON number") }
    if let value = Int64(text) {
      offset = end
      return .integer(value)
    }
    guard let value = Double(text), value.isFinite else {
      throw fault("'\(text.shown())' is beyond the range of numbers")
    }
    offset = end
    return .number(value)
  }

  private static func isNumberByte(_ byte: UInt8) -> Bool {
    isDigit(byte) || [0x2B, 0x2D, 0x2E, 0x45, 0x65].contains(byte)
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  /// Whether bytes are a number as RFC 8259 writes them.
  private static func isNumber(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
    var rest = bytes
    func takesDigits() -> Bool {
      let count = rest.prefix(while: isDigit).count
      rest = rest.dropFirst(count)
      return count > 0
    }
    if rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
    let hasLeadingZero = rest.first == UInt8(ascii: "0")
    let whole = rest.count
    guard takesDigits(), !hasLeadingZero || whole - rest.count == 1 else { return false }
    if rest.first == UInt8(ascii: ".") {
      rest = rest.dropFirst()
      guard takesDigits() else { return false }
    }
    if let letter = rest.first, letter | 0x20 == UInt8(ascii: "e") {
      rest = rest.dropFirst()
      if let sign = rest.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
        rest = rest.dropFirst()
      }
      guard takesDigits() else { return false }
    }
    return rest.isEmpty
  }
}

extension String.UTF8View {
  /// How many bytes of another sequence these begin with.
  fileprivate func count(ofEqualStart other: UnsafeRawBufferPointer) -> Int {
    zip(self, other).prefix { $0 == $1 }.count
  }
}
