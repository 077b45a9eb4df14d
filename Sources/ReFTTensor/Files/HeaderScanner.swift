// SPDX-License-Identifier: Apache-2.0
// Just enough JSON for the header of a safetensors file: objects, texts, and lists of whole numbers.

/// A cursor over JSON text that throws, with the byte, at the first thing out of place.
struct HeaderScanner {
  let bytes: UnsafeRawBufferPointer
  let path: String
  private var offset = 0

  init(bytes: UnsafeRawBufferPointer, path: String) {
    self.bytes = bytes
    self.path = path
  }

  func malformed(_ detail: String) -> ReFTError {
    ReFTError.malformed("Safetensors", path, detail)
  }

  /// Reads an object whose values `member` reads; a key that occurs twice is an error.
  mutating func object(
    _ what: String,
    _ member: (inout HeaderScanner, String) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    try expect(UInt8(ascii: "{"), "at the start of \(what)")
    if skip(UInt8(ascii: "}")) { return }
    var keys: Set<String> = []
    repeat {
      let key = try string("a key of \(what)")
      guard keys.insert(key).inserted else {
        throw malformed("the key '\(key)' occurs twice in \(what)")
      }
      try expect(UInt8(ascii: ":"), "after the key '\(key)' of \(what)")
      try member(&self, key)
    } while skip(UInt8(ascii: ","))
    try expect(UInt8(ascii: "}"), "at the end of \(what)")
  }

  /// Reads a list of numbers that are not negative.
  mutating func integers(_ what: String) throws(ReFTError) -> [Int] {
    try expect(UInt8(ascii: "["), "at the start of \(what)")
    var values: [Int] = []
    if skip(UInt8(ascii: "]")) { return values }
    repeat { values.append(try integer(what)) } while skip(UInt8(ascii: ","))
    try expect(UInt8(ascii: "]"), "at the end of \(what)")
    return values
  }

  /// Reads a text with JSON's escapes.
  mutating func string(_ what: String) throws(ReFTError) -> String {
    try expect(UInt8(ascii: "\""), "at the start of \(what)")
    let start = offset
    var text: [UInt8] = []
    while let byte = peek {
      offset += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: text, as: UTF8.self) else {
          throw malformed("\(what) at byte \(start) of the header is not UTF-8 text")
        }
        return text
      case UInt8(ascii: "\\"): text.append(contentsOf: try escape(what).utf8)
      case 0..<0x20: throw malformed("\(what) holds the control character \(byte) as it is")
      default: text.append(byte)
      }
    }
    throw malformed("the header ends inside \(what)")
  }

  /// Checks that nothing but white space follows.
  mutating func end() throws(ReFTError) {
    skipSpace()
    guard offset == bytes.count else {
      throw malformed("the header goes on after its object, at byte \(offset)")
    }
  }

  private var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
      offset += 1
    }
  }

  private mutating func skip(_ byte: UInt8) -> Bool {
    skipSpace()
    guard peek == byte else { return false }
    offset += 1
    return true
  }

  private mutating func expect(_ byte: UInt8, _ place: String) throws(ReFTError) {
    guard skip(byte) else {
      let wanted = Character(UnicodeScalar(byte))
      throw malformed("the header has \(found) at byte \(offset), not '\(wanted)' \(place)")
    }
  }

  private var found: String {
    guard let byte = peek else { return "its end" }
    return (0x21..<0x7f).contains(byte)
      ? "'\(Character(UnicodeScalar(byte)))'" : "the byte \(byte)"
  }

  private mutating func integer(_ what: String) throws(ReFTError) -> Int {
    skipSpace()
    let start = offset
    var value = 0
    while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
      offset += 1
      let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflow) = product.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
      guard !tooLarge, !overflow else {
        throw malformed("\(what) has a number beyond 64 bits at byte \(start) of the header")
      }
      value = sum
    }
    guard offset > start, offset == start + 1 || bytes[start] != UInt8(ascii: "0") else {
      throw malformed(
        "\(what) has \(found) at byte \(start) of the header, not a whole number without sign"
      )
    }
    return value
  }

  private mutating func escape(_ what: String) throws(ReFTError) -> String {
    guard let byte = peek else { throw malformed("the header ends inside \(what)") }
    offset += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"):
      return String(UnicodeScalar(byte))
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): return try unicode(what)
    default: throw malformed("\(what) has the unknown escape \\\(Character(UnicodeScalar(byte)))")
    }
  }

  private mutating func unicode(_ what: String) throws(ReFTError) -> String {
    var units = [try codeUnit(what)]
    if UTF16.isLeadSurrogate(units[0]), peek == UInt8(ascii: "\\") {
      offset += 1
      guard peek == UInt8(ascii: "u") else {
        throw malformed("\(what) holds half of a surrogate pair")
      }
      offset += 1
      units.append(try codeUnit(what))
    }
    guard let text = String(validating: units, as: UTF16.self) else {
      throw malformed("\(what) holds half of a surrogate pair")
    }
    return text
  }

  private mutating func codeUnit(_ what: String) throws(ReFTError) -> UInt16 {
    var value: UInt16 = 0
    for _ in 0..<4 {
      guard let byte = peek, let digit = Character(UnicodeScalar(byte)).hexDigitValue, byte < 0x80
      else { throw malformed("\(what) has an escape \\u without four hexadecimal digits") }
      value = value << 4 | UInt16(digit)
      offset += 1
    }
    return value
  }
}
