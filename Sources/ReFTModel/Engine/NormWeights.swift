// SPDX-License-Identifier: Apache-2.0
// The weight of a normalisation, and what it does to a row: the one place that knows the kinds.

import CReFTKernels
package import ReFTTensor

/// The weight of a normalisation, its offset added.
package struct NormWeights: Sendable {
  package let weight: FloatBuffer
  /// Of LayerNorm, zeros where the file has none; nil for RMSNorm.
  package let bias: FloatBuffer?
  package let size: Int
  package let epsilon: Float

  /// The same without owners, for threads that would fight over their reference counts.
  var rows: NormedRows {
    NormedRows(weight: weight.base, bias: bias?.base, size: size, epsilon: epsilon)
  }
}

/// A normalisation of rows; valid as long as its weights.
struct NormedRows: @unchecked Sendable {
  // Sendable: points into weights that never change.

  fileprivate let weight: UnsafeMutablePointer<Float>
  /// There for LayerNorm alone.
  fileprivate let bias: UnsafeMutablePointer<Float>?
  let size: Int
  fileprivate let epsilon: Float

  /// y = norm(x) for neighbouring rows; y may be x.
  func apply(
    _ x: UnsafePointer<Float>,
    _ y: UnsafeMutablePointer<Float>,
    count: Int = 1
  ) {
    if let bias {
      reft_layernorm_f32(count, size, x, size, weight, bias, epsilon, y, size)
    } else {
      reft_rmsnorm_f32(count, size, x, size, weight, epsilon, y, size)
    }
  }

  /// dx += d loss / d x, given dy of the same rows.
  func addGradient(
    of x: UnsafePointer<Float>,
    _ dy: UnsafePointer<Float>,
    to dx: UnsafeMutablePointer<Float>,
    count: Int = 1
  ) {
    if bias != nil {
      reft_layernorm_backward_f32(count, size, x, size, weight, epsilon, dy, size, dx, size)
    } else {
      reft_rmsnorm_backward_f32(count, size, x, size, weight, epsilon, dy, size, dx, size)
    }
  }
}
