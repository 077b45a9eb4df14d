// SPDX-License-Identifier: Apache-2.0
// Tensors to be written to a file.

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

/// A tensor of another number format, as its bytes.
public struct RawTensor: Sendable, Equatable {
  /// The name in the file.
  public var name: String
  /// The number format.
  public var type: SafetensorsType
  /// The sizes, slowest first.
  public var shape: [Int]
  /// The elements, row after row, little-endian.
  public var bytes: [UInt8]

  /// Makes a list of whole numbers.
  public init(name: String, _ values: [Int32]) {
    self.name = name
    type = .i32
    shape = [values.count]
    // Every platform of Swift's is little-endian, as the format is.
    bytes = values.withUnsafeBytes { Array($0) }
  }

  /// Makes a list of bytes.
  public init(name: String, bytes: [UInt8]) {
    self.name = name
    type = .u8
    shape = [bytes.count]
    self.bytes = bytes
  }
}
