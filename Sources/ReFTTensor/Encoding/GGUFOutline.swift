// SPDX-License-Identifier: Apache-2.0
// A GGUF file that is not written yet, as readers of models would see it: keys, names and shapes.

/// The outline of a file: its tensors have shapes and formats, and no data.
package final class GGUFOutline: TensorSource {
  package let path: String
  package let format = ModelFormat.gguf
  package let metadata: [String: GGUFValue]
  package let tensors: [StoredTensor]
  package let files: [MappedFile]
  package let fingerprint = "none"

  /// Outlines a file.
  ///
  /// - Parameters:
  ///   - output: what it will hold.
  ///   - source: what its data come from.
  package init(_ output: GGUFOutput, of source: any TensorSource) {
    (path, files) = (source.path, source.files)
    metadata = output.values.reduce(into: [:]) { $0[$1.key] = $1.value.read }
    tensors = output.tensors.flatMap { tensor in
      source.files.prefix(1).map { owner in
        StoredTensor(
          name: tensor.name,
          type: tensor.type,
          shape: tensor.shape,
          bytes: UnsafeRawBufferPointer(start: nil, count: 0),
          owner: owner
        )
      }
    }
  }

  package func tensor(_ name: String) -> StoredTensor? { tensors.first { $0.name == name } }
}

extension GGUFOutputValue {
  /// The value as a reader has it; nil for lists of numbers and for bytes as they lie.
  fileprivate var read: GGUFValue? {
    switch self {
    case .uint8(let value): .int(Int64(value))
    case .uint32(let value): .int(Int64(value))
    case .int32(let value): .int(Int64(value))
    case .uint64(let value): Int64(exactly: value).map { .int($0) } ?? .uint(value)
    case .float32(let value): .double(Double(value))
    case .float64(let value): .double(value)
    case .bool(let value): .bool(value)
    case .string(let value): .string(value)
    case .strings(let values): .strings(values)
    case .texts(let values): .strings(values.map { String(decoding: $0, as: UTF8.self) })
    case .int32s, .float32s, .bytes, .raw: nil
    }
  }
}
