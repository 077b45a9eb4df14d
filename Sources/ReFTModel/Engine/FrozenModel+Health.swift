// SPDX-License-Identifier: Apache-2.0
// Whether the file of a model is still what it was, and why an output is no number. Weights are
// looked at only once it is none, since reading all of them takes as long as the disk does.

public import ReFTTensor

extension FrozenModel {
  /// What happened to the model's file since it was opened, as `badData`; nil when nothing did.
  public var changeFault: ReFTError? {
    source.files.lazy.compactMap(\.change).first.map { .modelChanged(path, $0) }
  }

  /// Explains an output that is not finite by the model's file, where the file is to blame.
  ///
  /// - Returns: `badData` where the file was written to meanwhile, or naming the first tensor that
  ///   holds a value which is no finite number; nil where neither is so.
  public func explainNotFinite() -> ReFTError? {
    if let changeFault { return changeFault }
    for tensor in source.tensors {
      guard let (index, value) = tensor.firstNotFinite() else { continue }
      return .weightNotFinite(tensor.name, index: index, value: value, path)
    }
    return nil
  }
}

extension StoredTensor {
  /// Elements that are expanded at once: whole blocks of every format.
  private static let run = 1 << 14

  /// The first element that is infinite or no number.
  fileprivate func firstNotFinite() -> (index: Int, value: Float)? {
    var values = [Float](repeating: 0, count: Self.run)
    for start in stride(from: 0, to: elementCount, by: Self.run) {
      let count = min(Self.run, elementCount - start)
      guard let source = bytes.baseAddress else { return nil }
      values.withUnsafeMutableBufferPointer { buffer in
        guard let target = buffer.baseAddress else { return }
        type.dequantize(source + type.byteCount(elements: start), count: count, into: target)
      }
      if let place = values[..<count].firstIndex(where: { !$0.isFinite }) {
        return (start + place, values[place])
      }
    }
    return nil
  }
}

extension ReFTError {
  fileprivate static func modelChanged(_ path: String, _ change: String) -> ReFTError {
    ReFTError(
      .badData,
      "model '\(path)' changed while it was in use: \(change); put the file back as it was and run "
        + "the command again; a training run goes on from its last checkpoint with --resume"
    )
  }

  fileprivate static func weightNotFinite(
    _ tensor: String,
    index: Int,
    value: Float,
    _ path: String
  ) -> ReFTError {
    ReFTError(
      .badData,
      "model '\(path)': tensor '\(tensor)' holds \(value) at element \(index), expected finite "
        + "numbers; fetch the model again, or convert it anew"
    )
  }
}
