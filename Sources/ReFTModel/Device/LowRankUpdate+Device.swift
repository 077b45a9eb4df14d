// SPDX-License-Identifier: Apache-2.0
// What a device needs of an update: its matrices as its products read them, and the way back of their
// gradients.

import ReFTTensor

/// A row of a pass that updates work on.
package struct UpdatedRow: Sendable {
  /// Which row.
  package var row: Int32
  /// The position of its token.
  package var position: Int32
  /// Names the sequence for dropout.
  package var example: Int32
}

extension UpdatedTokens {
  /// The rows of the tokens that a pass computes, in the order of the batch.
  package func rows(in layout: PassLayout) -> [UpdatedRow] {
    UpdatedRows(self, rowOfToken: layout.rowOfToken).pieces.flatMap { piece in
      (0..<piece.count).map { offset in
        UpdatedRow(
          row: Int32(piece.row + offset),
          position: Int32(piece.position + offset),
          example: piece.example
        )
      }
    }
  }
}

extension LowRankUpdate {
  /// Numbers of both matrices.
  package var matrixCount: Int { rank * (inputs + outputs) }

  /// Writes A, and behind it scale · B with its rows in the order of y.
  package func pack(into memory: UnsafeMutablePointer<Float>) {
    memory.update(from: a, count: rank * inputs)
    let target = memory + rank * inputs
    for row in 0..<outputs {
      let source = b + (rowOrder.map { Int($0[row]) } ?? row) * rank
      for k in 0..<rank { target[row * rank + k] = scale * source[k] }
    }
  }

  /// Whether somebody wants the gradients of the matrices.
  package var isTraining: Bool { gradients != nil }

  /// Adds gradients in the layout of `pack`: dA, and behind it that of scale · B.
  package func addGradients(from memory: UnsafePointer<Float>) {
    guard let gradients else { return }
    for place in 0..<rank * inputs { gradients.a[place] += memory[place] }
    let source = memory + rank * inputs
    for row in 0..<outputs {
      let target = gradients.b + (rowOrder.map { Int($0[row]) } ?? row) * rank
      for k in 0..<rank { target[k] += scale * source[row * rank + k] }
    }
  }
}
