// SPDX-License-Identifier: Apache-2.0
// Products that begin while rows of the residual stream are edited on the host: of all rows as they were,
// and then once more of those few that changed.

import ReFTModel
import ReFTTensor

extension DevicePass {
  /// Whether an edit of what a block reads may end once the block has projected its queries, keys and
  /// values: nobody looks before, and nothing else reads the rows.
  func mayPendBefore(_ block: Int) -> Bool {
    guard block < shape.layers, !isFew, updates == nil, !weights.blocks[block].plan.isParallel
    else { return false }
    let parts: [Component] = [
      .blockInput, .attentionInput, .queryOutput, .keyOutput, .valueOutput,
    ]
    return !parts.contains { wants($0, block) }
  }

  /// Whether the way back through an edit of a block's output may end once the gradient has gone through
  /// the branch's last product.
  func mayPendBehind(_ block: Int) -> Bool {
    updates == nil && isFused(BranchEnd(.mlp, block, weights.blocks[block]))
  }

  /// Ends an edit of the stream that is under way, and puts right the rows of y = norm(stream) Wᵀ that
  /// it changed.
  ///
  /// - Throws: what the edit or the card reports.
  func finishPending(
    _ matrix: DeviceMatrix,
    _ norm: DeviceNorm?,
    _ stream: DevicePointer,
    y: DevicePointer
  ) throws {
    guard let rows = try taps?.finishPending() else { return }
    let d = shape.hiddenSize
    let few = try act(.editedRows, d, rows: rows.count)
    if let norm {
      try operations.norm(rows: rows.count, norm, pick: rows.list, stream, to: few)
    } else {
      try operations.cast(rows: rows.count, width: d, pick: rows.list, stream, to: few)
    }
    let product = try floats(.editedProduct, matrix.rows, rows: rows.count)
    try operations.multiply(matrix, rows: rows.count, few, to: product, isFloat: true)
    try replace(rows, product, in: activations(y, matrix.rows))
  }

  /// The same for dx = gradient W.
  func finishPendingBack(_ matrix: DeviceMatrix, dx: DevicePointer) throws {
    guard let rows = try taps?.finishPending() else { return }
    let d = shape.hiddenSize
    let few = try act(.editedRows, d, rows: rows.count)
    try operations.cast(rows: rows.count, width: d, pick: rows.list, try gradient(), to: few)
    let product = try floats(.editedProduct, matrix.columns, rows: rows.count)
    try operations.multiplyBack(matrix, rows: rows.count, few, to: product, isFloat: true)
    try replace(rows, product, in: activations(dx, matrix.columns))
  }

  private func replace(
    _ rows: DeviceTaps.EditedRows,
    _ values: DevicePointer,
    in hidden: DeviceRows
  ) throws(ReFTError) {
    try operations.scatter(rows.count, rows.list, values, old: nil, strength: 1, to: hidden)
  }
}
