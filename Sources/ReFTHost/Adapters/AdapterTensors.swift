// SPDX-License-Identifier: Apache-2.0
// `adapter_model.safetensors`: the parameters of an adapter.

import Foundation
import ReFTTensor

/// Reads and writes the parameters of an adapter.
enum AdapterTensors {
  /// How far a matrix may be from orthonormal without a word.
  private static let tolerance = 1e-3

  /// Fills a store from a file that has exactly its tensors.
  ///
  /// - Returns: warnings.
  /// `others` are the tensors that the file may have beside them.
  static func read(
    _ path: String,
    into store: ParameterStore,
    beside others: [String] = []
  ) throws(ReFTError) -> [String] {
    let file = try Safetensors.read(path: path)
    let missing = store.infos.map(\.name).filter { file.tensor($0) == nil }
    let extra = file.names.filter { store.index(of: $0) == nil && !others.contains($0) }.sorted()
    guard missing.isEmpty, extra.isEmpty else {
      throw .adapterTensorNames(path, missing: missing, extra: extra)
    }
    var warnings: [String] = []
    for (index, info) in store.infos.enumerated() {
      guard let tensor = file.tensor(info.name) else { continue }
      guard tensor.shape == info.shape else {
        throw .adapterTensorShape(path, info.name, found: tensor.shape, expected: info.shape)
      }
      let values = try file.floats(info.name)
      guard values.allSatisfy(\.isFinite) else { throw .adapterNotFinite(path, info.name) }
      _ = store.tensor(index).update(fromContentsOf: values)
      if let warning = constraintWarning(info, store.tensor(index)) { warnings.append(warning) }
    }
    return warnings
  }

  /// The tensors of a store, in its order.
  static func named(_ store: ParameterStore) -> [NamedTensor] {
    store.infos.indices.map {
      NamedTensor(
        name: store.infos[$0].name,
        shape: store.infos[$0].shape,
        values: Array(store.tensor($0))
      )
    }
  }

  /// What to say of values that are not as their constraint has them; nil where they are.
  static func constraintWarning(
    _ info: ParameterInfo,
    _ values: UnsafeMutableBufferPointer<Float>
  ) -> String? {
    let isRowwise: Bool
    switch info.constraint {
    case .orthonormalRows: isRowwise = true
    case .orthonormalColumns: isRowwise = false
    case .none, .unitRows, .box: return nil
    }
    let matrix = SmallMatrix(values, rows: info.shape[0], columns: info.shape[1])
    let deviation = Orthonormal.deviation(of: matrix, rowwise: isRowwise)
    guard deviation > tolerance else { return nil }
    let side = isRowwise ? "rows" : "columns"
    return
      "the \(side) of '\(info.name)' are not orthonormal (off by \(String(format: "%.2g", deviation))); "
      + "used as they stand"
  }
}
