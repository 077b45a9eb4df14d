// SPDX-License-Identifier: Apache-2.0
// A tensor to be written to a file.

/// A tensor with a name, in row-major order, its values in memory.
public struct NamedTensor: Sendable, Equatable {
  /// The name in the file.
  public var name: String
  /// The sizes, slowest first; empty for a single number.
  public var shape: [Int]
  /// The values, row after row.
  public var values: [Float]

  /// Makes a tensor; the writer checks that shape and values agree.
  public init(name: String, shape: [Int], values: [Float]) {
    self.name = name
    self.shape = shape
    self.values = values
  }
}
