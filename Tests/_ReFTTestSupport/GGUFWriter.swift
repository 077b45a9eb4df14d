// SPDX-License-Identifier: Apache-2.0
// GGUF files for tests: sound ones, and as wrong as a test wants them.

import Foundation
public import ReFTTensor

/// Lays out a GGUF file in memory.
public struct GGUFWriter {
  /// A metadata value with the type that the file shall have.
  public typealias Value = GGUFOutputValue

  private struct Tensor {
    var name: [UInt8]
    var type: UInt32
    var dimensions: [UInt64]
    var data: [UInt8]
    var offset: UInt64?
  }

  /// The version that the file claims.
  public var version: UInt32 = 3
  /// The alignment of the data; written as metadata when it is not 32.
  public var alignment = 32
  /// What the file claims instead of the number of its metadata values.
  public var claimedValueCount: UInt64?
  /// What the file claims instead of the number of its tensors.
  public var claimedTensorCount: UInt64?
  private var values: [(key: [UInt8], value: Value)] = []
  private var tensors: [Tensor] = []

  /// Starts with an empty file.
  public init() {}

  /// Adds a metadata value.
  public mutating func set(_ key: String, _ value: Value) { set(Array(key.utf8), value) }

  /// Adds a metadata value under a key of any bytes.
  public mutating func set(_ key: [UInt8], _ value: Value) { values.append((key, value)) }

  /// Takes a metadata value out.
  public mutating func remove(_ key: String) {
    values.removeAll { $0.key.elementsEqual(key.utf8) }
  }

  /// Adds a tensor, encoded from float32 values; dimensions are in the file's order.
  public mutating func add(
    _ name: String,
    _ type: TensorType,
    dimensions: [Int],
    values: [Float]
  ) {
    precondition(dimensions.reduce(1, *) == values.count)
    add(
      name,
      type: type.rawValue,
      dimensions: dimensions.map { UInt64($0) },
      data: Quantizer.encode(values, as: type)
    )
  }

  /// Adds a tensor with any claims about it.
  public mutating func add(
    _ name: String,
    type: UInt32,
    dimensions: [UInt64],
    data: [UInt8],
    offset: UInt64? = nil
  ) {
    tensors.append(
      Tensor(
        name: Array(name.utf8),
        type: type,
        dimensions: dimensions,
        data: data,
        offset: offset
      )
    )
  }

  /// Sets a metadata value in the place of the one of that key.
  public mutating func replace(_ key: String, _ value: Value) {
    remove(key)
    set(key, value)
  }

  /// Takes a tensor out.
  public mutating func removeTensor(_ name: String) {
    tensors.removeAll { $0.name == Array(name.utf8) }
  }

  /// Gives tensors another format and content, where `encode` does not return nil.
  public mutating func encodeTensors(
    _ encode: (_ name: String, _ dimensions: [Int]) -> (type: TensorType, data: [UInt8])?
  ) {
    for index in tensors.indices {
      let name = String(decoding: tensors[index].name, as: UTF8.self)
      guard let tensor = encode(name, tensors[index].dimensions.map { Int($0) }) else { continue }
      tensors[index].type = tensor.type.rawValue
      tensors[index].data = tensor.data
    }
  }

  /// The bytes of the file.
  public func bytes() -> [UInt8] {
    var values = values
    if alignment != 32 {
      values.append((Array("general.alignment".utf8), .uint32(UInt32(alignment))))
    }
    var file = Array("GGUF".utf8)
    file.append(integer: version)
    file.append(integer: claimedTensorCount ?? UInt64(tensors.count))
    file.append(integer: claimedValueCount ?? UInt64(values.count))
    for (key, value) in values {
      file.append(counted: key)
      value.append(to: &file)
    }
    var data: [UInt8] = []
    for tensor in tensors {
      file.append(counted: tensor.name)
      file.append(integer: UInt32(tensor.dimensions.count))
      for size in tensor.dimensions { file.append(integer: size) }
      file.append(integer: tensor.type)
      file.append(integer: tensor.offset ?? UInt64(data.count))
      data += tensor.data
      data.pad(to: alignment)
    }
    if !tensors.isEmpty { file.pad(to: alignment) }
    return file + data
  }

  /// Writes the file.
  public func write(to path: String) throws {
    try Data(bytes()).write(to: URL(fileURLWithPath: path))
  }
}
