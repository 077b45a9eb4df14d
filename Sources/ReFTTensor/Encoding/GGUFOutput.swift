// SPDX-License-Identifier: Apache-2.0
// Writes GGUF files of version 3, tensor by tensor, so that a model need not fit the memory.

/// A GGUF file before it is written: metadata, and what its tensors are called.
public struct GGUFOutput {
  /// A tensor of the file.
  public struct Tensor: Sendable {
    /// The name.
    public var name: String
    /// The number format.
    public var type: TensorType
    /// The sizes, slowest first: rows, then columns.
    public var shape: [Int]

    /// Describes a tensor.
    public init(name: String, type: TensorType, shape: [Int]) {
      (self.name, self.type, self.shape) = (name, type, shape)
    }

    /// The bytes of its data.
    public var byteCount: Int { type.byteCount(elements: shape.reduce(1, *)) }
  }

  /// Where the data of each tensor starts: at multiples of this.
  static let alignment = 32

  /// The metadata in the order of the file.
  public private(set) var values: [(key: String, value: GGUFOutputValue)] = []
  /// The tensors in the order of the file.
  public private(set) var tensors: [Tensor] = []

  /// Starts with nothing.
  public init() {}

  /// Sets a value, in the place of the one of that key.
  public mutating func set(_ key: String, _ value: GGUFOutputValue) {
    if let index = values.firstIndex(where: { $0.key == key }) {
      values[index].value = value
    } else {
      values.append((key, value))
    }
  }

  /// Announces a tensor.
  ///
  /// - Precondition: rows are whole blocks of the type.
  public mutating func add(_ tensor: Tensor) {
    precondition((tensor.shape.last ?? 1) % tensor.type.blockSize == 0)
    tensors.append(tensor)
  }

  /// The bytes before the data.
  func header() -> [UInt8] {
    var bytes = Array("GGUF".utf8)
    bytes.append(integer: UInt32(3))
    bytes.append(integer: UInt64(tensors.count))
    bytes.append(integer: UInt64(values.count))
    for (key, value) in values {
      bytes.append(counted: Array(key.utf8))
      value.append(to: &bytes)
    }
    var offset = 0
    for tensor in tensors {
      bytes.append(counted: Array(tensor.name.utf8))
      bytes.append(integer: UInt32(tensor.shape.count))
      for size in tensor.shape.reversed() { bytes.append(integer: UInt64(size)) }
      bytes.append(integer: tensor.type.rawValue)
      bytes.append(integer: UInt64(offset))
      offset += Self.padded(tensor.byteCount)
    }
    bytes.pad(to: Self.alignment)
    return bytes
  }

  private static func padded(_ count: Int) -> Int {
    (count + alignment - 1) / alignment * alignment
  }

  /// Writes the file through `AtomicFile`.
  ///
  /// - Parameters:
  ///   - path: the file to make or replace.
  ///   - data: hands the bytes of a tensor to the writer; called for each in order.
  /// - Throws: what `data` throws, or `inputOutput`; the old file is then as it was.
  public func write(
    to path: String,
    _ data: (Tensor, _ index: Int, borrowing AtomicFile.Writer) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    try AtomicFile.write(to: path) { writer throws(ReFTError) in
      try writer.write(header())
      for (index, tensor) in tensors.enumerated() {
        try data(tensor, index, writer)
        let rest = Self.padded(tensor.byteCount) - tensor.byteCount
        try writer.write([UInt8](repeating: 0, count: rest))
      }
    }
  }
}

/// A metadata value with the type that the file shall have.
public enum GGUFOutputValue: Sendable {
  /// A number, truth value or text of the type of that name.
  case uint8(UInt8)
  case uint32(UInt32)
  case int32(Int32)
  case uint64(UInt64)
  case float32(Float)
  case float64(Double)
  case bool(Bool)
  case string(String)
  /// A list of texts.
  case strings([String])
  /// A list of texts, as bytes.
  case texts([[UInt8]])
  /// A list of numbers.
  case int32s([Int32])
  case float32s([Float])
  /// A list of bytes.
  case bytes([UInt8])
  /// Any type number with any bytes.
  case raw(type: UInt32, bytes: [UInt8])

  /// Appends the type and the value.
  package func append(to bytes: inout [UInt8]) {
    func type(_ type: GGUFValueType) { bytes.append(integer: type.rawValue) }
    func list(_ element: GGUFValueType, _ count: Int) {
      type(.array)
      type(element)
      bytes.append(integer: UInt64(count))
    }
    switch self {
    case .uint8(let value):
      type(.uint8)
      bytes.append(value)
    case .uint32(let value):
      type(.uint32)
      bytes.append(integer: value)
    case .int32(let value):
      type(.int32)
      bytes.append(integer: value)
    case .uint64(let value):
      type(.uint64)
      bytes.append(integer: value)
    case .float32(let value):
      type(.float32)
      bytes.append(integer: value.bitPattern)
    case .float64(let value):
      type(.float64)
      bytes.append(integer: value.bitPattern)
    case .bool(let value):
      type(.bool)
      bytes.append(value ? 1 : 0)
    case .string(let value):
      type(.string)
      bytes.append(counted: Array(value.utf8))
    case .strings(let values):
      list(.string, values.count)
      for value in values { bytes.append(counted: Array(value.utf8)) }
    case .texts(let values):
      list(.string, values.count)
      for value in values { bytes.append(counted: value) }
    case .int32s(let values):
      list(.int32, values.count)
      for value in values { bytes.append(integer: value) }
    case .float32s(let values):
      list(.float32, values.count)
      for value in values { bytes.append(integer: value.bitPattern) }
    case .bytes(let values):
      list(.uint8, values.count)
      bytes += values
    case .raw(let number, let raw):
      bytes.append(integer: number)
      bytes += raw
    }
  }
}

extension [UInt8] {
  /// Appends an integer in little-endian order.
  package mutating func append(integer: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: integer.littleEndian) { append(contentsOf: $0) }
  }

  /// Appends a 64-bit length and the bytes.
  package mutating func append(counted bytes: [UInt8]) {
    append(integer: UInt64(bytes.count))
    append(contentsOf: bytes)
  }

  /// Appends zeros up to a multiple.
  package mutating func pad(to alignment: Int) {
    append(contentsOf: repeatElement(0, count: (alignment - count % alignment) % alignment))
  }
}
