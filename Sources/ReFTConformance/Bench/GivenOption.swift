// SPDX-License-Identifier: Apache-2.0
// An option that the author of a check gave with --option, and what it names, read before anything of
// the plugin is known. Whether the plugin takes it stands in `GivenOption+Schema.swift`.

import Glibc
public import ReFTTensor

/// An option that the author of the check set: `NAME=VALUE`.
public struct GivenOption: Sendable {
  /// What a text names, where it names something.
  enum Content: Sendable {
    /// No file that is there.
    case nothing
    /// A tensor of a safetensors file.
    case tensor(shape: [Int], values: [Float])
    /// A file as a whole, or its beginning.
    case file([UInt8])
    /// Something that cannot be read, and why; that matters where an option wants it alone.
    case unreadable(String)
  }

  let name: String
  let text: String
  let content: Content

  /// The most bytes of a file that are read.
  private static let byteLimit = 64 << 20

  /// Reads an option, and the file that it names.
  ///
  /// - Throws: `.usage` for another form; a file that cannot be read is told once it is known that the
  ///   option wants one.
  public init(_ argument: String) throws(ReFTError) {
    guard let mark = argument.firstIndex(of: "="), mark > argument.startIndex else {
      throw .givenOptionForm(argument)
    }
    name = String(argument[..<mark])
    text = String(argument[argument.index(after: mark)...])
    content = Self.read(text)
  }

  /// As a process of the checker is told it.
  var argument: String { "\(name)=\(text)" }

  /// The file of `FILE#TENSOR`; of another text the text.
  var path: String { String(text[..<(text.lastIndex(of: "#") ?? text.endIndex)]) }

  /// Makes sure that no option is given twice.
  ///
  /// - Throws: `.usage` naming the option.
  static func requireDistinct(_ options: [GivenOption]) throws(ReFTError) {
    var seen: [String: GivenOption] = [:]
    for option in options {
      if let first = seen[option.name] { throw .givenTwice(first.argument, option.argument) }
      seen[option.name] = option
    }
  }

  private static func read(_ text: String) -> Content {
    do throws(ReFTError) {
      if isThere(text) {
        let file = try MappedFile(path: text)
        // The bytes are gone with the object.
        let bytes = withExtendedLifetime(file) { Array(file.bytes.prefix(byteLimit)) }
        return .file(bytes)
      }
      guard let mark = text.lastIndex(of: "#"), isThere(String(text[..<mark])) else {
        return .nothing
      }
      return try tensor(String(text[text.index(after: mark)...]), path: String(text[..<mark]))
    } catch {
      return .unreadable(error.message)
    }
  }

  /// Reads a tensor, which must be one that a run would take too.
  private static func tensor(_ name: String, path: String) throws(ReFTError) -> Content {
    let file = try Safetensors.read(path: path)
    let values = try file.floats(name)
    let shape = file.tensor(name)?.shape ?? []
    guard (1...4).contains(shape.count), !values.isEmpty else {
      return .unreadable(
        "tensor '\(name)' of '\(path)' has the shape \(shape); 1 to 4 dimensions and at least one "
          + "number are taken"
      )
    }
    guard values.allSatisfy(\.isFinite) else {
      return .unreadable("tensor '\(name)' of '\(path)' holds numbers that are not finite")
    }
    return .tensor(shape: shape, values: values)
  }

  private static func isThere(_ path: String) -> Bool { !path.isEmpty && access(path, F_OK) == 0 }
}
