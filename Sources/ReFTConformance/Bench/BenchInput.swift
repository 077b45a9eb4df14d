// SPDX-License-Identifier: Apache-2.0
// Numbers that an option names: those that the author gave with --option (`GivenOption`), or some of a
// shape that the plugin accepts.

import ReFTHost

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
  var hosted: PluginInput {
    if let bytes { return PluginInput(text: text, content: bytes) }
    return PluginInput(text: text, shape: shape, values: values)
  }

  /// The shapes that are tried where nobody names an input: directions, their columns, numbers of each.
  static func shapes(dim: Int) -> [[Int]] { [[dim], [8, dim], [dim, 8], [8]] }
}
