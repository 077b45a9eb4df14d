// SPDX-License-Identifier: Apache-2.0
// The JSON of a manifest, read strictly: every error names the file and the place in it.

import ReFTTensor

/// A value of a manifest with its place, such as `forward.arguments[2]`.
struct ManifestNode {
  let value: JSONNode
  let place: String
  let path: String

  func fail(_ reason: String) -> ReFTError { .badManifest(path, place: place, reason: reason) }

  private func wrong(_ expected: String) -> ReFTError {
    fail("is \(value.kind), expected \(expected)")
  }

  func text() throws(ReFTError) -> String {
    guard let text = value.word else { throw wrong("a text") }
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
    guard let number = value.number else { throw wrong("a number") }
    return number
  }

  func flag() throws(ReFTError) -> Bool {
    guard case .flag(let flag) = value.content else { throw wrong("true or false") }
    return flag
  }

  func list() throws(ReFTError) -> [ManifestNode] {
    guard case .list(let values) = value.content else { throw wrong("a list") }
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
    guard case .object(let values) = value.content else { throw wrong("an object") }
    let known = required + optional
    var result: [String: ManifestNode] = [:]
    for member in values {
      let key = member.key
      guard known.contains(key) else {
        let nearest = NearestName.find(key, in: known).map { "; did you mean '\($0)'?" } ?? ""
        throw fail(
          "has an unknown key '\(key.shown())'; known: \(known.joined(separator: ", "))\(nearest)"
        )
      }
      let child = place == "the manifest" ? key : "\(place).\(key)"
      result[key] = ManifestNode(value: member.value, place: child, path: path)
    }
    for key in required where result[key] == nil { throw fail("lacks '\(key)'") }
    return result
  }
}
