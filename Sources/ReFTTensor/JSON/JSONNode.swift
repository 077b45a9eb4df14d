// SPDX-License-Identifier: Apache-2.0
// A value of a JSON text with its place, as `JSONScanner` reads it.

/// A value of a JSON text that knows where it stands.
package struct JSONNode: Sendable {
  /// A member of an object.
  package struct Member: Sendable {
    /// The key.
    package var key: String
    /// Where the key stands.
    package var place: TextPlace
    /// Its value.
    package var value: JSONNode

    /// Joins a key and its value.
    package init(key: String, place: TextPlace, value: JSONNode) {
      (self.key, self.place, self.value) = (key, place, value)
    }
  }

  /// What stands there; members of objects keep their order, and no key stands twice.
  package enum Content: Sendable {
    case null
    case flag(Bool)
    case integer(Int64)
    /// A number with a fraction or an exponent, or beyond 64 bits.
    case number(Double)
    case text(String)
    case list([JSONNode])
    case object([Member])
  }

  /// What stands there.
  package var content: Content
  /// Where it stands.
  package var place: TextPlace

  /// A value at a place.
  package init(content: Content, place: TextPlace) {
    self.content = content
    self.place = place
  }

  /// What stands here, in words, without the data itself.
  package var kind: String {
    switch content {
    case .null: "null"
    case .flag: "true or false"
    case .integer, .number: "a number"
    case .text: "a text"
    case .list: "a list"
    case .object: "an object"
    }
  }

  /// The value in a few words, for messages about files that hold no user's data.
  package var shown: String {
    switch content {
    case .null: "null"
    case .flag(let flag): String(flag)
    case .integer(let number): String(number)
    case .number(let number): String(number)
    case .text(let text): "'\(text.shown())'"
    case .list, .object: kind
    }
  }

  /// A number, whole or not, rounded to the nearest.
  package var number: Double? {
    switch content {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  /// The text of a name, which can be compared: at most 64 KiB, without endless combining marks.
  package var word: String? {
    guard case .text(let text) = content, text.utf8.count <= 1 << 16, text.hasShortCharacters
    else { return nil }
    return text
  }

  /// Whether nothing is said here: null, an empty text, list or object.
  package var isEmpty: Bool {
    switch content {
    case .null: true
    case .flag, .integer, .number: false
    case .text(let text): text.isEmpty
    case .list(let items): items.isEmpty
    case .object(let members): members.isEmpty
    }
  }

  /// The value of a key; nil where there is none, or no object.
  package subscript(key: String) -> JSONNode? {
    guard case .object(let members) = content else { return nil }
    return members.first { $0.key == key }?.value
  }

  /// The value without its places.
  package var value: JSONValue {
    switch content {
    case .null: .null
    case .flag(let flag): .bool(flag)
    case .integer(let number): .int(number)
    case .number(let number): .double(number)
    case .text(let text): .string(text)
    case .list(let items): .array(items.map(\.value))
    case .object(let members):
      .object(Dictionary(members.map { ($0.key, $0.value.value) }) { first, _ in first })
    }
  }
}
