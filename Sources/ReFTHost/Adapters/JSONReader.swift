// SPDX-License-Identifier: Apache-2.0
// Values of a JSON document, by path, with errors that name the file and the place.

import Foundation
import ReFTTensor

/// One value of a JSON document and where it stands.
struct JSONReader {
  let value: JSONValue
  let file: String
  let place: String

  /// Reads a document.
  init(file: String) throws(ReFTError) {
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: file))
    } catch {
      throw .adapterFileUnreadable(file, cause: error)
    }
    do {
      value = try JSONDecoder().decode(JSONValue.self, from: data)
    } catch {
      throw .adapterNotJSON(file, cause: error)
    }
    self.file = file
    place = ""
  }

  private init(value: JSONValue, file: String, place: String) {
    self.value = value
    self.file = file
    self.place = place
  }

  func fault(_ expected: String) -> ReFTError {
    .adapterValue(
      file,
      place: place.isEmpty ? "the document" : place,
      found: value.shown,
      expected: expected
    )
  }

  /// The member of an object, or nil where it is absent or null.
  func optional(_ key: String) throws(ReFTError) -> JSONReader? {
    guard case .object(let members) = value else { throw fault("an object") }
    guard let member = members[key], member != .null else { return nil }
    return JSONReader(value: member, file: file, place: place.isEmpty ? key : "\(place).\(key)")
  }

  func required(_ key: String) throws(ReFTError) -> JSONReader {
    guard let member = try optional(key) else {
      throw .adapterValue(
        file,
        place: place.isEmpty ? key : "\(place).\(key)",
        found: "nothing",
        expected: "a value"
      )
    }
    return member
  }

  var keys: [String] {
    if case .object(let members) = value { return members.keys.sorted() }
    return []
  }

  func items() throws(ReFTError) -> [JSONReader] {
    guard case .array(let list) = value else { throw fault("a list") }
    return list.enumerated().map {
      JSONReader(value: $1, file: file, place: "\(place).\($0)")
    }
  }

  func string() throws(ReFTError) -> String {
    guard case .string(let text) = value else { throw fault("a text") }
    return text
  }

  func int() throws(ReFTError) -> Int {
    guard case .int(let number) = value else { throw fault("a whole number") }
    return Int(number)
  }

  func bool() throws(ReFTError) -> Bool {
    guard case .bool(let flag) = value else { throw fault("true or false") }
    return flag
  }

  /// The members of an object of plugin options.
  func options() throws(ReFTError) -> [String: OptionValue] {
    guard case .object(let members) = value else { throw fault("an object") }
    var result: [String: OptionValue] = [:]
    for (key, member) in members {
      switch member {
      case .bool(let flag): result[key] = .flag(flag)
      case .int(let number): result[key] = .int(number)
      case .double(let number): result[key] = .float(number)
      case .string(let text): result[key] = .string(text)
      case .null, .array, .object:
        let place = "\(place).\(key)"
        throw JSONReader(value: member, file: file, place: place).fault(
          "a number, a text, true or false"
        )
      }
    }
    return result
  }
}

extension JSONValue {
  /// The value in a few words, for messages.
  fileprivate var shown: String {
    switch self {
    case .null: "null"
    case .bool(let flag): String(flag)
    case .int(let number): String(number)
    case .double(let number): String(number)
    case .string(let text): "'\(text.prefix(60))'"
    case .array, .object: kind
    }
  }
}
