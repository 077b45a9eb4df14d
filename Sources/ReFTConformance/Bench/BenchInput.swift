// SPDX-License-Identifier: Apache-2.0
// Numbers that an option names: those that the author gave with --option, or some of a shape that the
// plugin accepts.

import CReFTPlugin
import Glibc
import ReFTHost
public import ReFTTensor

/// An input of an instance under test.
struct BenchInput: Hashable {
  /// What the option says.
  let text: String
  let shape: [Int]
  let values: [Float]
  /// A file's bytes, in place of numbers.
  let bytes: [UInt8]?

  /// Numbers that were read.
  init(text: String, shape: [Int], values: [Float], bytes: [UInt8]? = nil) {
    (self.text, self.shape, self.values, self.bytes) = (text, shape, values, bytes)
  }

  /// Some numbers of a shape, always the same.
  init(shape: [Int]) {
    let count = shape.reduce(1, *)
    var random = BenchRandom(seed: UInt64(count) &+ 7)
    self.init(
      text: "made.safetensors#\(shape.map(String.init).joined(separator: "x"))",
      shape: shape,
      values: random.normals(count, scale: 0.5)
    )
  }

  static func == (left: BenchInput, right: BenchInput) -> Bool {
    left.text == right.text && left.shape == right.shape
  }

  func hash(into hasher: inout Hasher) {
    hasher.combine(text)
    hasher.combine(shape)
  }

  /// As the host's own instances take it.
  var hosted: PluginInput { PluginInput(text: text, shape: shape, values: values) }

  /// The shapes that are tried where nobody names an input: directions, their columns, numbers of each.
  static func shapes(dim: Int) -> [[Int]] { [[dim], [8, dim], [dim, 8], [8]] }
}

/// An option that the author of the check set: `NAME=VALUE`.
public struct GivenOption: Sendable {
  let name: String
  let text: String
  /// The tensor or file that the text names, where it names one.
  let input: [Float]?
  let shape: [Int]
  let bytes: [UInt8]?

  /// Reads an option, and the file that it names.
  ///
  /// - Throws: `.usage` for another form, and what reading a safetensors file throws.
  public init(_ argument: String) throws(ReFTError) {
    guard let mark = argument.firstIndex(of: "="), mark > argument.startIndex else {
      throw ReFTError(
        .usage,
        "--option '\(argument)' must be NAME=VALUE, such as rank=4 or dictionary=sae.safetensors#W_dec"
      )
    }
    name = String(argument[..<mark])
    text = String(argument[argument.index(after: mark)...])
    let hash = text.lastIndex(of: "#")
    let path = String(text[..<(hash ?? text.endIndex)])
    guard !path.isEmpty, access(path, R_OK) == 0 else {
      (input, shape, bytes) = (nil, [], nil)
      return
    }
    if let hash {
      let file = try Safetensors.read(path: path)
      let tensor = String(text[text.index(after: hash)...])
      input = try file.floats(tensor)
      shape = file.tensor(tensor)?.shape ?? []
      bytes = nil
    } else {
      let content = Array(try MappedFile(path: path).bytes.prefix(64 << 20))
      (input, shape, bytes) = (nil, [content.count], content)
    }
  }

  /// As a process of the checker is told it.
  var argument: String { "\(name)=\(text)" }

  /// The value in the type that the schema states; nil where it has none.
  func setting(_ schema: OptionSchema) -> OptionSetting? {
    switch schema.type {
    case REFT_OPTION_INT: Int64(text).map { OptionSetting(name, .int($0)) }
    case REFT_OPTION_FLOAT: Double(text).map { OptionSetting(name, .float($0)) }
    case REFT_OPTION_FLAG: OptionSetting(name, .flag(text == "true" ? 1 : 0))
    case REFT_OPTION_STRING: OptionSetting(name, .string(text))
    case REFT_OPTION_TENSOR:
      input.map {
        OptionSetting(name, .input(BenchInput(text: text, shape: shape, values: $0)))
      }
    case REFT_OPTION_FILE:
      bytes.map {
        OptionSetting(name, .input(BenchInput(text: text, shape: shape, values: [], bytes: $0)))
      }
    default: nil
    }
  }
}
