// SPDX-License-Identifier: Apache-2.0
// The one reader of JSON: RFC 8259 to the letter, every fault with its place, a key twice is a fault.
// Foundation's reader names no place, takes the last of two equal keys in silence and some numbers
// that are none. Texts and numbers are in the extensions.

/// Reads JSON out of UTF-8 bytes, which must outlive it, in time linear in their number.
///
/// Values nest at most 64 deep, and one scanner makes at most `maximumValueCount` of them. A half of a
/// surrogate pair is a fault, and so is a number of more than 512 characters.
package struct JSONScanner {
  /// The deepest nesting of lists and objects.
  package static let maximumDepth = 64
  /// The most values of one text: 4 Mi, in some 32 bytes each.
  package static let maximumValueCount = 4 << 20

  let bytes: UnsafeRawBufferPointer
  /// The next byte.
  package internal(set) var offset = 0
  private var line: Int
  /// Where column 1 of the line lies, had every character one byte.
  var lineStart: Int
  /// When two keys are the same.
  package enum KeyComparison: Sendable {
    /// As Unicode compares texts: however a letter is composed.
    case asText
    /// Byte for byte, as vocabularies want it, of which endless combining marks may be a part.
    case asBytes
  }

  private let keys: KeyComparison
  private var depth = 0
  private let valueLimit: Int
  private var valuesLeft: Int

  /// Starts at the first byte, whose place is given.
  package init(
    _ bytes: UnsafeRawBufferPointer,
    line: Int = 1,
    column: Int = 1,
    keys: KeyComparison = .asText,
    valueLimit: Int = Self.maximumValueCount
  ) {
    self.bytes = bytes
    self.keys = keys
    self.line = line
    self.valueLimit = valueLimit
    valuesLeft = valueLimit
    lineStart = 1 - column
  }

  /// Reads one value and the white space around it, and nothing else.
  package static func document(
    _ bytes: UnsafeRawBufferPointer,
    line: Int = 1,
    column: Int = 1,
    keys: KeyComparison = .asText
  ) throws(JSONFault) -> JSONNode {
    var scanner = JSONScanner(bytes, line: line, column: column, keys: keys)
    let node = try scanner.value()
    guard scanner.isAtEnd() else {
      throw scanner.fault("found \(scanner.nextInWords()) after the end of the value")
    }
    return node
  }

  // MARK: Places

  /// The place of the next byte.
  package var place: TextPlace { TextPlace(line: line, column: offset - lineStart + 1) }

  /// A fault at the next byte.
  package func fault(_ message: String) -> JSONFault {
    JSONFault(offset: offset, place: place, message: message)
  }

  /// The next byte as it may stand in a message.
  package func nextInWords() -> String {
    guard offset < bytes.count else { return "the end of the text" }
    let byte = bytes[offset]
    if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") { return "the end of the line" }
    return (0x21..<0x7F).contains(byte)
      ? "'\(Character(UnicodeScalar(byte)))'" : "byte 0x" + String(byte, radix: 16, uppercase: true)
  }

  // MARK: Pieces

  /// Whether nothing but white space is left; skips it.
  package mutating func isAtEnd() -> Bool {
    skipSpace()
    return offset == bytes.count
  }

  /// Takes a byte if it is the next one that is no white space.
  package mutating func take(_ byte: UInt8) -> Bool {
    skipSpace()
    guard offset < bytes.count, bytes[offset] == byte else { return false }
    offset += 1
    return true
  }

  /// Goes into the object that starts here.
  package mutating func enterObject() throws(JSONFault) { try enter("{") }

  /// The next key of the object; nil at its end, which is then behind.
  ///
  /// - Parameter seen: the keys before, with their places; a new one for each object.
  /// - Returns: the key and its place; its value is next.
  /// - Throws: a fault where no key stands, or one that stood before.
  package mutating func nextKey(
    _ seen: inout [String: TextPlace]
  ) throws(JSONFault) -> (key: String, place: TextPlace)? {
    if take(UInt8(ascii: "}")) {
      depth -= 1
      return nil
    }
    if !seen.isEmpty, !take(UInt8(ascii: ",")) {
      throw fault("expected ',' or '}', found \(nextInWords())")
    }
    skipSpace()
    let (start, place) = (offset, self.place)
    guard offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") else {
      throw fault("expected a key in double quotes, found \(nextInWords())")
    }
    let key = try text()
    guard keys == .asBytes || key.hasShortCharacters else {
      throw JSONFault(
        offset: start,
        place: place,
        message: "a key with combining marks without end"
      )
    }
    if let first = seen.updateValue(place, forKey: compared(key)) {
      throw JSONFault(
        offset: start,
        place: place,
        message: "key \"\(key.shown())\" stands twice in one object, first at \(first)"
      )
    }
    guard take(UInt8(ascii: ":")) else {
      throw fault("expected ':' after key \"\(key.shown())\", found \(nextInWords())")
    }
    return (key, place)
  }

  /// The key as it is compared: of bytes, one character each, of which none is equal to another.
  private func compared(_ key: String) -> String {
    keys == .asText ? key : String(String.UnicodeScalarView(key.utf8.map { Unicode.Scalar($0) }))
  }

  /// Goes into the list that starts here.
  package mutating func enterList() throws(JSONFault) { try enter("[") }

  /// Whether the list has a next item, which then stands here; else its end is behind.
  package mutating func nextItem(isFirst: Bool) throws(JSONFault) -> Bool {
    if take(UInt8(ascii: "]")) {
      depth -= 1
      return false
    }
    if !isFirst, !take(UInt8(ascii: ",")) {
      throw fault("expected ',' or ']', found \(nextInWords())")
    }
    skipSpace()
    return true
  }

  private mutating func enter(_ bracket: Unicode.Scalar) throws(JSONFault) {
    guard depth < Self.maximumDepth else {
      throw fault("lists and objects nested deeper than \(Self.maximumDepth)")
    }
    guard take(UInt8(ascii: bracket)) else {
      throw fault("expected '\(bracket)', found \(nextInWords())")
    }
    depth += 1
  }

  private mutating func skipSpace() {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x0A:
        line += 1
        lineStart = offset + 1
      case 0x20, 0x09, 0x0D: break
      default: return
      }
      offset += 1
    }
  }

  // MARK: Values

  /// The next value.
  package mutating func value() throws(JSONFault) -> JSONNode {
    skipSpace()
    guard offset < bytes.count else { throw fault("the text ends where a value should stand") }
    guard valuesLeft > 0 else { throw fault("more than \(valueLimit) values") }
    valuesLeft -= 1
    let place = place
    let content: JSONNode.Content
    switch bytes[offset] {
    case UInt8(ascii: "{"): content = try object()
    case UInt8(ascii: "["): content = try list()
    case UInt8(ascii: "\""): content = .text(try text())
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): content = try number()
    default: content = try word()
    }
    return JSONNode(content: content, place: place)
  }

  private mutating func object() throws(JSONFault) -> JSONNode.Content {
    try enterObject()
    var seen: [String: TextPlace] = [:]
    var members: [JSONNode.Member] = []
    while let (key, place) = try nextKey(&seen) {
      members.append(JSONNode.Member(key: key, place: place, value: try value()))
    }
    return .object(members)
  }

  private mutating func list() throws(JSONFault) -> JSONNode.Content {
    try enterList()
    var items: [JSONNode] = []
    while try nextItem(isFirst: items.isEmpty) { items.append(try value()) }
    return .list(items)
  }

  private mutating func word() throws(JSONFault) -> JSONNode.Content {
    let words: [(StaticString, JSONNode.Content)] = [
      ("true", .flag(true)), ("false", .flag(false)), ("null", .null),
    ]
    for (word, content) in words {
      let end = offset + word.utf8CodeUnitCount
      if end <= bytes.count,
        bytes[offset..<end].elementsEqual(
          UnsafeRawBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        )
      {
        offset = end
        return content
      }
    }
    throw fault("expected a JSON value, found \(nextInWords())")
  }
}
