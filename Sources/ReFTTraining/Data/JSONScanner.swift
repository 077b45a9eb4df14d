// SPDX-License-Identifier: Apache-2.0
// A strict JSON reader that knows the line it is in. Foundation's reader does not say where in a
// list of rows an error lies, and takes the last of two equal keys in silence.

/// Reads JSON values out of UTF-8 bytes, which must outlive it.
struct JSONScanner {
  /// What is wrong, and in which line.
  struct Fault: Error {
    var line: Int
    var message: String
  }

  private let bytes: UnsafeBufferPointer<UInt8>
  private var index = 0
  /// The line of the next byte, from 1.
  private(set) var line: Int
  private static let maximumDepth = 64
  /// The message of a fault that is about bytes, not about JSON.
  static let notUTF8 = "a text that is not UTF-8"

  /// Starts at the first byte, in the line with a number.
  init(_ bytes: UnsafeBufferPointer<UInt8>, line: Int = 1) {
    self.bytes = bytes
    self.line = line
  }

  /// Whether nothing but white space is left; skips it.
  mutating func isAtEnd() -> Bool {
    skipSpace()
    return index == bytes.count
  }

  /// Takes a byte if it is the next one that is no white space.
  mutating func take(_ character: Character) -> Bool {
    skipSpace()
    guard index < bytes.count, bytes[index] == character.asciiValue else { return false }
    index += 1
    return true
  }

  /// The next value.
  mutating func value(depth: Int = 0) throws(Fault) -> RowValue {
    skipSpace()
    guard depth <= Self.maximumDepth else {
      throw fault("lists and objects nested deeper than \(Self.maximumDepth)")
    }
    guard index < bytes.count else { throw fault("the text ends where a value should stand") }
    switch bytes[index] {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try list(depth: depth)
    case UInt8(ascii: "\""): return .text(try text())
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: return try word()
    }
  }

  /// A fault at the current place.
  func fault(_ message: String) -> Fault { Fault(line: line, message: message) }

  /// The next byte as it may stand in a message.
  func nextInWords() -> String {
    guard index < bytes.count else { return "the end of the text" }
    let byte = bytes[index]
    if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") { return "the end of the line" }
    return (0x21..<0x7F).contains(byte)
      ? "'\(Character(UnicodeScalar(byte)))'" : "byte 0x" + String(byte, radix: 16, uppercase: true)
  }

  private mutating func skipSpace() {
    while index < bytes.count {
      switch bytes[index] {
      case 0x0A: line += 1
      case 0x20, 0x09, 0x0D: break
      default: return
      }
      index += 1
    }
  }

  private mutating func object(depth: Int) throws(Fault) -> RowValue {
    index += 1
    var members: [RowValue.Member] = []
    if take("}") { return .object(members) }
    repeat {
      skipSpace()
      guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else {
        throw fault("expected a key in double quotes, found \(nextInWords())")
      }
      let key = try text()
      guard !members.contains(where: { $0.key == key }) else {
        throw fault("key \"\(key)\" stands twice in one object")
      }
      guard take(":") else {
        throw fault("expected ':' after key \"\(key)\", found \(nextInWords())")
      }
      members.append(.init(key: key, value: try value(depth: depth + 1)))
    } while take(",")
    guard take("}") else { throw fault("expected ',' or '}', found \(nextInWords())") }
    return .object(members)
  }

  private mutating func list(depth: Int) throws(Fault) -> RowValue {
    index += 1
    var items: [RowValue] = []
    if take("]") { return .list(items) }
    repeat { items.append(try value(depth: depth + 1)) } while take(",")
    guard take("]") else { throw fault("expected ',' or ']', found \(nextInWords())") }
    return .list(items)
  }

  private mutating func word() throws(Fault) -> RowValue {
    let words: [(StaticString, RowValue)] = [
      ("true", .flag(true)), ("false", .flag(false)), ("null", .null),
    ]
    for (word, value) in words {
      let end = index + word.utf8CodeUnitCount
      if end <= bytes.count,
        bytes[index..<end].elementsEqual(
          UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        )
      {
        index = end
        return value
      }
    }
    throw fault("expected a JSON value, found \(nextInWords())")
  }

  private mutating func number() throws(Fault) -> RowValue {
    let start = index
    while index < bytes.count, Self.numberBytes.contains(bytes[index]) { index += 1 }
    let text = String(decoding: bytes[start..<index], as: UTF8.self)
    let digits = text.utf8.drop { $0 == UInt8(ascii: "-") }
    let isDigit = { (byte: UInt8?) in byte.map { (0x30...0x39).contains($0) } ?? false }
    let hasLeadingZero = digits.first == 0x30 && isDigit(digits.dropFirst().first)
    guard !hasLeadingZero, isDigit(digits.first), isDigit(digits.last) else {
      throw fault("'\(text)' is no JSON number")
    }
    if let value = Int64(text) { return .integer(value) }
    guard let value = Double(text), value.isFinite else {
      throw fault("'\(text)' is no JSON number")
    }
    return .number(value)
  }

  private static let numberBytes = Set("0123456789+-.eE".utf8)

  private mutating func text() throws(Fault) -> String {
    index += 1
    var content: [UInt8] = []
    while index < bytes.count {
      let byte = bytes[index]
      switch byte {
      case UInt8(ascii: "\""):
        index += 1
        guard let text = String(validating: content, as: UTF8.self) else {
          throw fault(Self.notUTF8)
        }
        return text
      case UInt8(ascii: "\\"):
        index += 1
        try escape(into: &content)
      case 0..<0x20:
        throw fault("an unescaped control character 0x\(String(byte, radix: 16)) in a text")
      default:
        content.append(byte)
        index += 1
      }
    }
    throw fault("a text without its closing quote")
  }

  private mutating func escape(into content: inout [UInt8]) throws(Fault) {
    guard index < bytes.count else { throw fault("a text without its closing quote") }
    let byte = bytes[index]
    index += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
    case UInt8(ascii: "b"): content.append(0x08)
    case UInt8(ascii: "f"): content.append(0x0C)
    case UInt8(ascii: "n"): content.append(0x0A)
    case UInt8(ascii: "r"): content.append(0x0D)
    case UInt8(ascii: "t"): content.append(0x09)
    case UInt8(ascii: "u"):
      content += Array(String(Character(try escapedScalar())).utf8)
    default:
      index -= 1
      throw fault("expected an escape such as \\n after '\\', found \(nextInWords())")
    }
  }

  /// The scalar of `XXXX` or of a surrogate pair `XXXX\uXXXX`.
  private mutating func escapedScalar() throws(Fault) -> UnicodeScalar {
    let high = try hexadecimal()
    if let scalar = UnicodeScalar(high) { return scalar }
    if (0xD800..<0xDC00).contains(high), index + 1 < bytes.count,
      bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u")
    {
      index += 2
      let low = try hexadecimal()
      if (0xDC00..<0xE000).contains(low),
        let scalar = UnicodeScalar(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
      {
        return scalar
      }
    }
    throw fault("\\u\(String(high, radix: 16)) is half of a surrogate pair")
  }

  private mutating func hexadecimal() throws(Fault) -> UInt32 {
    guard index + 4 <= bytes.count,
      let value = UInt32(String(decoding: bytes[index..<index + 4], as: UTF8.self), radix: 16)
    else { throw fault("expected four hexadecimal digits after \\u") }
    index += 4
    return value
  }
}
