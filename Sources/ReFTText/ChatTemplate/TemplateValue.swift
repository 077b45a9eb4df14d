// SPDX-License-Identifier: Apache-2.0
// The values that templates compute with, and how they compare, print and turn into JSON.
// Texts compare by their scalars, as in Python, not by canonical equivalence.

import Foundation

/// A value of the template language.
enum TemplateValue: Sendable {
  case undefined(String)
  case none
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  case list([TemplateValue])
  case map([Entry])
  /// The fields of a namespace, by the number of the namespace.
  case namespace(Int)

  /// A key and its value; maps keep their order.
  struct Entry: Sendable {
    var key: String
    var value: TemplateValue

    init(_ key: String, _ value: TemplateValue) {
      self.key = key
      self.value = value
    }
  }

  /// Whether the value counts as true in a condition.
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .double(let value): value != 0
    case .string(let value): !value.isEmpty
    case .list(let values): !values.isEmpty
    case .map(let entries): !entries.isEmpty
    case .namespace: true
    }
  }

  /// What kind of value it is, for messages.
  var kindName: String {
    switch self {
    case .undefined(let name): "the undefined '\(name)'"
    case .none: "none"
    case .bool: "a truth value"
    case .int, .double: "a number"
    case .string: "a string"
    case .list: "a list"
    case .map: "a dictionary"
    case .namespace: "a namespace"
    }
  }

  /// The value as a number, truth values being 0 and 1.
  var number: Double? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  /// The value as a whole number, truth values being 0 and 1.
  var wholeNumber: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): value
    default: nil
    }
  }

  /// Whether both are the same value.
  func equals(_ other: TemplateValue) -> Bool {
    switch (self, other) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.string(let left), .string(let right)): return left.isSame(as: right)
    case (.list(let left), .list(let right)):
      return left.count == right.count && zip(left, right).allSatisfy { $0.equals($1) }
    case (.map(let left), .map(let right)):
      return left.count == right.count
        && left.allSatisfy { entry in
          right.contains { $0.key.isSame(as: entry.key) && $0.value.equals(entry.value) }
        }
    case (.namespace(let left), .namespace(let right)): return left == right
    default:
      guard let left = number, let right = other.number else { return false }
      return left == right
    }
  }

  /// The value as `{{ }}` prints it.
  var text: String {
    switch self {
    case .undefined: ""
    case .string(let value): value
    default: representation
    }
  }

  /// The value as Python writes it inside of a list.
  private var representation: String {
    switch self {
    case .undefined: "Undefined"
    case .none: "None"
    case .bool(let value): value ? "True" : "False"
    case .int(let value): String(value)
    case .double(let value): Self.numberText(value)
    case .string(let value): Self.quoted(value)
    case .list(let values): "[" + values.map(\.representation).joined(separator: ", ") + "]"
    case .map(let entries):
      "{"
        + entries.map { Self.quoted($0.key) + ": " + $0.value.representation }
        .joined(separator: ", ") + "}"
    case .namespace: "<Namespace>"
    }
  }

  private static func numberText(_ value: Double) -> String {
    guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
    let text = "\(value)"
    // Swift writes 1e+20 where Python does, but leaves out the zero in 1e-07.
    guard let mark = text.firstIndex(of: "e") else { return text }
    let sign = text[text.index(after: mark)]
    let digits = text[text.index(mark, offsetBy: 2)...]
    return text[...mark] + String(sign) + (digits.count < 2 ? "0" : "") + digits
  }

  private static func quoted(_ text: String) -> String {
    let quote = text.contains("'") && !text.contains("\"") ? "\"" : "'"
    var result = quote
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "'" where quote == "'": result += "\\'"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + quote
  }

  /// The value as JSON, as Python's `json.dumps` writes it with `ensure_ascii=False`.
  ///
  /// It has `indent` blanks per level, or stands in one line; nil where a value has no such form.
  func json(indent: Int?, level: Int = 0) -> String? {
    switch self {
    case .undefined, .namespace: return nil
    case .none: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .int(let value): return String(value)
    case .double(let value):
      return value.isNaN
        ? "NaN"
        : value.isInfinite
          ? (value < 0 ? "-Infinity" : "Infinity")
          : Self.numberText(value)
    case .string(let value): return Self.jsonString(value)
    case .list(let values):
      return Self.json(
        values.map { $0.json(indent: indent, level: level + 1) },
        "[",
        "]",
        indent,
        level
      )
    case .map(let entries):
      let parts = entries.map { entry in
        entry.value.json(indent: indent, level: level + 1)
          .map { Self.jsonString(entry.key) + ": " + $0 }
      }
      return Self.json(parts, "{", "}", indent, level)
    }
  }

  private static func json(
    _ parts: [String?],
    _ open: String,
    _ close: String,
    _ indent: Int?,
    _ level: Int
  ) -> String? {
    var texts: [String] = []
    for part in parts {
      guard let part else { return nil }
      texts.append(part)
    }
    guard let indent, !texts.isEmpty else { return open + texts.joined(separator: ", ") + close }
    let inner = "\n" + String(repeating: " ", count: indent * (level + 1))
    let outer = "\n" + String(repeating: " ", count: indent * level)
    return open + inner + texts.joined(separator: "," + inner) + outer + close
  }

  private static func jsonString(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{8}": result += "\\b"
      case "\u{C}": result += "\\f"
      case "\u{0}"..."\u{1F}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

extension String {
  /// Whether both texts have the same scalars.
  func isSame(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
