// SPDX-License-Identifier: Apache-2.0
// Values of a JSON document, by path, with errors that name the file and the place.

import Foundation
import ReFTTensor

/// One value of a JSON document and the path of keys that leads to it.
struct JSONReader {
  let node: JSONNode
  let file: String
  let place: String

  /// Reads a document.
  init(file: String) throws(ReFTError) {
    node = try JSONFile.read(path: file)
    self.file = file
    place = ""
  }

  private init(node: JSONNode, file: String, place: String) {
    self.node = node
    self.file = file
    self.place = place
  }

  func fault(_ expected: String) -> ReFTError {
    .adapterValue(
      "\(file):\(node.place)",
      place: place.isEmpty ? "the document" : place.shown(),
      found: node.shown,
      expected: expected
    )
  }

  /// The member of an object, or nil where it is absent or null.
  func optional(_ key: String) throws(ReFTError) -> JSONReader? {
    guard case .object = node.content else { throw fault("an object") }
    guard let member = node[key], member.kind != "null" else { return nil }
    return JSONReader(node: member, file: file, place: place.isEmpty ? key : "\(place).\(key)")
  }

  func required(_ key: String) throws(ReFTError) -> JSONReader {
    guard let member = try optional(key) else {
      throw .adapterValue(
        "\(file):\(node.place)",
        place: place.isEmpty ? key : "\(place).\(key)",
        found: "nothing",
        expected: "a value"
      )
    }
    return member
  }

  /// The members of an object; none of anything else.
  var members: [JSONNode.Member] {
    if case .object(let members) = node.content { return members }
    return []
  }

  func items() throws(ReFTError) -> [JSONReader] {
    guard case .list(let list) = node.content else { throw fault("a list") }
    return list.enumerated().map { JSONReader(node: $1, file: file, place: "\(place).\($0)") }
  }

  func string() throws(ReFTError) -> String {
    guard let text = node.word else { throw fault("a text") }
    return text
  }

  func int() throws(ReFTError) -> Int {
    guard case .integer(let number) = node.content else { throw fault("a whole number") }
    return Int(number)
  }

  func number() throws(ReFTError) -> Double {
    switch node.content {
    case .integer(let number): return Double(number)
    case .number(let number): return number
    default: throw fault("a number")
    }
  }

  func bool() throws(ReFTError) -> Bool {
    guard case .flag(let flag) = node.content else { throw fault("true or false") }
    return flag
  }

  /// The members of an object of plugin options.
  func options() throws(ReFTError) -> [String: OptionValue] {
    guard case .object(let members) = node.content else { throw fault("an object") }
    var result: [String: OptionValue] = [:]
    for member in members {
      let reader = JSONReader(node: member.value, file: file, place: "\(place).\(member.key)")
      switch member.value.content {
      case .flag(let flag): result[member.key] = .flag(flag)
      case .integer(let number): result[member.key] = .int(number)
      case .number(let number): result[member.key] = .float(number)
      case .text: result[member.key] = .string(try reader.string())
      case .null, .list, .object: throw reader.fault("a number, a text, true or false")
      }
    }
    return result
  }
}
