// SPDX-License-Identifier: Apache-2.0
// What must be true of a parameter wherever its description comes from: a table in this process, a
// manifest, or the answer of a worker.

import ReFTTensor

extension ParameterInfo {
  /// The most values that one parameter may have.
  static let valueLimit = 1 << 32

  /// Whether a text can be a key of files: letters, digits, '.', '_' and '-'.
  static func isName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 128
      && name.utf8.allSatisfy {
        (0x61...0x7A).contains($0) || (0x41...0x5A).contains($0) || (0x30...0x39).contains($0)
          || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F
      }
  }

  /// What is wrong with it beside the `earlier` parameters of the same instance, in words that follow
  /// "parameter 'name'"; nil when nothing is.
  func fault(after earlier: [ParameterInfo]) -> String? {
    if earlier.contains(where: { $0.name == name }) { return "is there twice" }
    if let fault = shapeFault { return fault }
    for scale in [learningRateScale, weightDecayScale] where !(scale.isFinite && scale >= 0) {
      return "has a rate or decay scale below 0 or not finite"
    }
    return initializationFault(after: earlier) ?? constraintFault
  }

  /// What is wrong with it as one of an instance's inputs, in words that follow "parameter 'name'".
  func inputFault(_ inputs: [PluginInput]) -> String? {
    guard let index = inputIndex else { return nil }
    guard inputs.indices.contains(index) else { return "is input \(index), which no option named" }
    let input = inputs[index]
    guard !input.isFile else { return "is input \(index), which is a file and no tensor" }
    return input.shape == shape
      ? nil : "has the shape \(shape), and input \(index), '\(input.text)', has \(input.shape)"
  }

  private var shapeFault: String? {
    guard (1...4).contains(shape.count) else { return "has \(shape.count) dimensions, not 1 to 4" }
    var count = 1
    for size in shape {
      guard size > 0, size <= Self.valueLimit else { return "has a dimension of \(size)" }
      let (product, overflows) = count.multipliedReportingOverflow(by: size)
      guard !overflows, product <= Self.valueLimit else {
        return "has more than \(Self.valueLimit) values"
      }
      count = product
    }
    return nil
  }

  private func initializationFault(after earlier: [ParameterInfo]) -> String? {
    switch initialization {
    case .zeros, .custom: return nil
    case .input:
      return isTrainable
        ? "is an input (REFT_INIT_INPUT) and trainable; a trainable one can start as its copy" : nil
    case .constant(let value):
      return value.isFinite ? nil : "has an init_a or init_b that is not finite"
    case .normal(let a, let b):
      return a.isFinite && b.isFinite ? nil : "has an init_a or init_b that is not finite"
    case .uniform(let lower, let upper):
      guard lower.isFinite, upper.isFinite else {
        return "has an init_a or init_b that is not finite"
      }
      return lower <= upper ? nil : "has an empty range of initial values"
    case .orthogonal:
      return shape.count == 2 ? nil : "is to start orthogonal but is no matrix"
    case .copy(let index):
      return earlier.indices.contains(index) && earlier[index].shape == shape
        ? nil : "is to copy parameter \(index), which is no earlier one of its shape"
    }
  }

  private var constraintFault: String? {
    let columns = shape.count == 2 ? shape[1] : 0
    switch constraint {
    case .none, .unitRows: return nil
    case .orthonormalRows:
      return shape.count == 2 && shape[0] <= columns
        ? nil : "of shape \(shape) cannot have orthonormal rows"
    case .orthonormalColumns:
      return shape.count == 2 && columns <= shape[0]
        ? nil : "of shape \(shape) cannot have orthonormal columns"
    case .box(let lower, let upper): return lower <= upper ? nil : "has an empty box"
    }
  }
}

extension PluginWorkspace {
  /// What is wrong with it, in words that follow "plan states", or nil: no call may ask for more
  /// memory than this machine has.
  func fault(rows: Int) -> String? {
    let limit = min(1 << 40, Machine.memoryByteCount)
    for (name, value, factor) in [
      ("saved_bytes_per_row", savedPerRow, max(1, rows)), ("saved_bytes_fixed", savedFixed, 1),
      ("scratch_bytes_per_row", scratchPerRow, max(1, rows)),
      ("scratch_bytes_fixed", scratchFixed, 1),
      ("state_bytes_per_sequence", statePerSequence, 1),
      ("collected_per_row", collectedPerRow, 4 * max(1, rows)),
    ] where value < 0 || value > limit / factor {
      return "\(name) \(value) for \(rows) rows; this machine has \(limit) bytes"
    }
    return nil
  }
}
