// SPDX-License-Identifier: Apache-2.0
// How much of an edit counts: the arithmetic of strengths for rows that lie in the memory of this process,
// wherever the model runs.

import CReFTKernels

/// Lets edits work on gathered rows, and as much of their change count as their strengths say.
///
/// y = x + s · (edit(x) − x), and back dx = editᵀ(s · dy) + (1 − s) · dy. Strength 1 is the edit itself, bit
/// for bit.
package final class EditStrength {
  private var before = GrowingBuffer()

  /// Memory of its own.
  package init() {}

  /// Edits rows in place.
  ///
  /// - Throws: what the edit throws.
  package func edit(_ rows: GatheredRows, by edit: any RowEdit) throws {
    let strength = edit.strength
    guard strength != 1 else { return try edit.edit(rows) }
    let count = rows.count * rows.width
    let old = before.floats(count)
    old.update(from: rows.rows, count: count)
    try edit.edit(rows)
    reft_axpy_f32(count, -1, old, rows.rows)
    reft_scale_f32(count, strength, rows.rows)
    reft_axpy_f32(count, 1, old, rows.rows)
  }

  /// Turns the gradient of the rows behind an edit into that of the rows before it, in place.
  ///
  /// - Throws: what the edit throws.
  package func differentiate(_ gradient: GatheredRows, by edit: any RowEdit) throws {
    let strength = edit.strength
    guard strength != 1 else { return try edit.differentiate(gradient) }
    let count = gradient.count * gradient.width
    let whole = before.floats(count)
    whole.update(from: gradient.rows, count: count)
    reft_scale_f32(count, strength, gradient.rows)
    try edit.differentiate(gradient)
    reft_axpy_f32(count, 1 - strength, whole, gradient.rows)
  }
}
