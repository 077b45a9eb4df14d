// SPDX-License-Identifier: Apache-2.0
// A tensor as it lies in a model's file, whatever the file's format.

/// A named tensor of a file; its bytes are valid as long as the value lives.
public struct StoredTensor: @unchecked Sendable {
  // Sendable: the bytes are read-only, and the file that holds them is kept alive here.

  /// The name, such as "blk.0.attn_q.weight" or "model.layers.0.self_attn.q_proj.weight".
  public let name: String
  /// The number format of the data.
  public let type: TensorType
  /// The sizes, slowest first: rows, then columns.
  public let shape: [Int]
  /// The raw blocks, row after row.
  public let bytes: UnsafeRawBufferPointer
  /// The file that holds the bytes.
  let owner: MappedFile

  /// How many elements there are.
  public var elementCount: Int { shape.reduce(1, *) }

  /// The sizes in the order of GGUF: columns first, then rows.
  public var dimensions: [Int] { shape.reversed() }

  /// All elements as float32, row after row.
  public func floats() -> [Float] {
    let count = elementCount
    return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      if let source = bytes.baseAddress, let destination = buffer.baseAddress {
        type.dequantize(source, count: count, into: destination)
      }
      initialized = count
    }
  }
}
