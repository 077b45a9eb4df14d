// SPDX-License-Identifier: Apache-2.0
// The files that other programs keep tensors in.

import ReFTTensor

/// A file of named tensors, of torch or of safetensors.
enum WeightFile {
  case torch(TorchFile)
  case safetensors(SafetensorsFile)

  var path: String {
    switch self {
    case .torch(let file): file.file.path
    case .safetensors(let file): file.file.path
    }
  }

  var names: [String] {
    switch self {
    case .torch(let file): file.names
    case .safetensors(let file): file.names
    }
  }

  func shape(_ name: String) -> [Int]? {
    switch self {
    case .torch(let file): file.tensor(name)?.shape
    case .safetensors(let file): file.tensor(name)?.shape
    }
  }

  func floats(_ name: String) throws(ReFTError) -> [Float] {
    switch self {
    case .torch(let file): try file.floats(name)
    case .safetensors(let file): try file.floats(name)
    }
  }

  /// A vector or matrix; an error names what is there instead.
  func tensor(_ name: String, rank: Int) throws(ReFTError) -> ImportedTensor {
    guard let shape = shape(name) else { throw .importLacks(path, name) }
    guard shape.count == rank, !shape.contains(0) else {
      throw .importedRank(path, name, found: shape, expected: rank)
    }
    return ImportedTensor(shape: shape, values: try floats(name))
  }
}

extension ImportedTensor {
  /// The transposed matrix.
  var transposed: ImportedTensor {
    let (rows, columns) = (shape[0], shape[1])
    var result = [Float](repeating: 0, count: values.count)
    for row in 0..<rows {
      for column in 0..<columns { result[column * rows + row] = values[row * columns + column] }
    }
    return ImportedTensor(shape: [columns, rows], values: result)
  }
}
