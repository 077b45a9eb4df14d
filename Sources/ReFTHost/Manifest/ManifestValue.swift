// SPDX-License-Identifier: Apache-2.0
// The JSON of a manifest, read strictly: every error names the file and the place in it.

import Foundation
import ReFTTensor

/// Any JSON value.
enum ManifestValue: Decodable, Sendable {
  case null
  case flag(Bool)
  case number(Double)
  case text(String)
  case list([ManifestValue])
  case object([String: ManifestValue])

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .flag(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .text(value)
    } else if let value = try? container.decode([ManifestValue].self) {
      self = .list(value)
    } else if let value = try? container.decode([String: ManifestValue].self) {
      self = .object(value)
    } else {
      throw DecodingError.dataCorruptedError(
        in: container,
        debugDescription: "a number is too large, or the nesting too deep"
      )
    }
  }

  var kind: String {
    switch self {
    case .null: "null"
    case .flag: "true or false"
    case .number: "a number"
    case .text: "a text"
    case .list: "a list"
    case .object: "an object"
    }
  }
}

/// A value of a manifest with its place, such as `forward.arguments[2]`.
struct ManifestNode {
  let value: ManifestValue
  let place: String
  let path: String

  func fail(_ reason: String) -> ReFTError { .badManifest(path, place: place, reason: reason) }

  private func wrong(_ expected: String) -> ReFTError {
    fail("is \(value.kind), expected \(expected)")
  }

  func text() throws(ReFTError) -> String {
    guard case .text(let text) = value else { throw wrong("a text") }
    return text
  }

  /// A text of one line that is not empty: names and descriptions are shown, and passed to C.
  func line() throws(ReFTError) -> String {
    let text = try text()
    guard !text.isEmpty else { throw fail("is empty") }
    guard ForeignText.isPlain(text) else {
      throw fail("is '\(text)' with control characters in it, expected plain text")
    }
    return text
  }

  /// A name of an option or a parameter, which is a key of configurations and files.
  func key() throws(ReFTError) -> String {
    let text = try line()
    guard ParameterInfo.isName(text) else {
      throw fail("is '\(text)', expected letters, digits, '.', '_' and '-', at most 128")
    }
    return text
  }

  func number() throws(ReFTError) -> Double {
    guard case .number(let number) = value else { throw wrong("a number") }
    guard number.isFinite else { throw wrong("a finite number") }
    return number
  }

  func flag() throws(ReFTError) -> Bool {
    guard case .flag(let flag) = value else { throw wrong("true or false") }
    return flag
  }

  func list() throws(ReFTError) -> [ManifestNode] {
    guard case .list(let values) = value else { throw wrong("a list") }
    return values.enumerated().map {
      ManifestNode(value: $1, place: "\(place)[\($0)]", path: path)
    }
  }

  /// The members of an object.
  ///
  /// - Throws: `.badData` for a key that is not in `required` or `optional`, or a missing one.
  func members(
    required: [String],
    optional: [String] = []
  ) throws(ReFTError) -> [String: ManifestNode] {
    guard case .object(let values) = value else { throw wrong("an object") }
    let known = required + optional
    var result: [String: ManifestNode] = [:]
    for (key, value) in values.sorted(by: { $0.key < $1.key }) {
      guard known.contains(key) else {
        let nearest = NearestName.find(key, in: known).map { "; did you mean '\($0)'?" } ?? ""
        throw fail("has an unknown key '\(key)'; known: \(known.joined(separator: ", "))\(nearest)")
      }
      let child = place == "the manifest" ? key : "\(place).\(key)"
      result[key] = ManifestNode(value: value, place: child, path: path)
    }
    for key in required where result[key] == nil { throw fail("lacks '\(key)'") }
    return result
  }
}
