// SPDX-License-Identifier: Apache-2.0
// The values of GGUF metadata. Reading them is the business of GGUFReader.swift.

/// One value of a GGUF file's metadata.
public enum GGUFValue: Sendable {
  /// Any integer type whose value fits.
  case int(Int64)
  /// An unsigned integer beyond the range of `int`.
  case uint(UInt64)
  /// A number of single or double precision.
  case double(Double)
  /// A truth value.
  case bool(Bool)
  /// Text.
  case string(String)
  /// A list of texts.
  case strings([String])
  /// A list of numbers or truth values, kept as it is in the file.
  case numbers(GGUFNumbers)
  /// A list of lists.
  case lists([GGUFValue])
}

/// The type numbers of values in GGUF metadata.
public enum GGUFValueType: UInt32, Sendable {
  /// Unsigned and signed integers by their bits, and the rest.
  case uint8 = 0
  case int8 = 1
  case uint16 = 2
  case int16 = 3
  case uint32 = 4
  case int32 = 5
  case float32 = 6
  case bool = 7
  case string = 8
  case array = 9
  case uint64 = 10
  case int64 = 11
  case float64 = 12

  /// The least number of bytes that a value takes in the file.
  var leastByteCount: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64, .string: 8
    case .array: 12
    }
  }

  /// Whether every value has the same width and no inner structure.
  var isNumeric: Bool { self != .string && self != .array }
}

/// A list of numbers that stays in the mapped file until it is asked for.
public struct GGUFNumbers: @unchecked Sendable {
  // Sendable: the bytes are read-only, and the file that holds them is kept alive here.

  /// The type of every element.
  public let type: GGUFValueType
  /// How many elements there are.
  public let count: Int
  let bytes: UnsafeRawBufferPointer
  let file: MappedFile

  /// The elements as integers; nil when they are not integers, or one is beyond `Int64`.
  public var ints: [Int64]? {
    switch type {
    case .uint8: read(UInt8.self).map(Int64.init)
    case .int8: read(Int8.self).map(Int64.init)
    case .uint16: read(UInt16.self).map { Int64(UInt16(littleEndian: $0)) }
    case .int16: read(Int16.self).map { Int64(Int16(littleEndian: $0)) }
    case .uint32: read(UInt32.self).map { Int64(UInt32(littleEndian: $0)) }
    case .int32: read(Int32.self).map { Int64(Int32(littleEndian: $0)) }
    case .int64: read(Int64.self).map { Int64(littleEndian: $0) }
    case .uint64: whole(read(UInt64.self))
    case .float32, .float64, .bool, .string, .array: nil
    }
  }

  /// The elements as single precision; nil when they are not of that type.
  public var floats: [Float]? {
    guard type == .float32 else { return nil }
    return read(UInt32.self).map { Float(bitPattern: UInt32(littleEndian: $0)) }
  }

  /// The elements as truth values; nil when they are not.
  public var bools: [Bool]? {
    type == .bool ? read(UInt8.self).map { $0 != 0 } : nil
  }

  private func whole(_ values: [UInt64]) -> [Int64]? {
    var result: [Int64] = []
    result.reserveCapacity(values.count)
    for value in values {
      guard let value = Int64(exactly: UInt64(littleEndian: value)) else { return nil }
      result.append(value)
    }
    return result
  }

  private func read<Element: BitwiseCopyable>(_ element: Element.Type) -> [Element] {
    let width = MemoryLayout<Element>.size
    return (0..<count).map {
      bytes.loadUnaligned(fromByteOffset: $0 * width, as: Element.self)
    }
  }
}
