// SPDX-License-Identifier: Apache-2.0
// Normalisations: of rows of the stream, of branches' outputs, and of heads.

import ReFTTensor

extension Operations {
  /// y[i] = norm(x[pick[i]]), as activations.
  func norm(
    rows: Int,
    _ norm: DeviceNorm,
    pick: DevicePointer? = nil,
    _ x: DevicePointer,
    to y: DevicePointer
  ) throws(ReFTError) {
    try launch(
      try kernel("norm_act", .norm),
      grid: (rows, 1, 1),
      block: Self.rowBlock(norm.size),
      rows,
      norm.size,
      norm.kind,
      x,
      pick,
      norm.weight.pointer,
      norm.bias?.pointer,
      norm.epsilon,
      y
    )
  }

  /// y = norm(x) in float32; y may be x.
  func normFloat(
    rows: Int,
    _ norm: DeviceNorm,
    _ x: DevicePointer,
    to y: DevicePointer
  ) throws(ReFTError) {
    try launch(
      try kernel("norm_float", .norm),
      grid: (rows, 1, 1),
      block: Self.rowBlock(norm.size),
      rows,
      norm.size,
      norm.kind,
      x,
      norm.weight.pointer,
      norm.bias?.pointer,
      norm.epsilon,
      y
    )
  }

  /// out = stream + norm(x).
  func normAdd(
    rows: Int,
    _ norm: DeviceNorm,
    _ x: DevicePointer,
    stream: DevicePointer,
    to out: DevicePointer
  ) throws(ReFTError) {
    try launch(
      try kernel("norm_add", .norm),
      grid: (rows, 1, 1),
      block: Self.rowBlock(norm.size),
      rows,
      norm.size,
      norm.kind,
      x,
      norm.weight.pointer,
      norm.bias?.pointer,
      norm.epsilon,
      stream,
      out
    )
  }

  /// out = stream + x, and y = norm(out) where there is a norm.
  func addNorm(
    rows: Int,
    width: Int,
    _ norm: DeviceNorm?,
    _ x: DevicePointer,
    stream: DevicePointer,
    to out: DevicePointer,
    _ y: DevicePointer?
  ) throws(ReFTError) {
    try launch(
      try kernel("add_norm", .norm),
      grid: (rows, 1, 1),
      block: Self.rowBlock(width),
      rows,
      width,
      norm?.kind ?? 0,
      x,
      stream,
      norm?.weight.pointer,
      norm?.bias?.pointer,
      norm?.epsilon ?? 0,
      out,
      y
    )
  }

  /// gradient[pick[i]] += what dy[i] means for x[pick[i]]; without `pick` the sum is rounded too.
  func normBackward(
    rows: Int,
    _ norm: DeviceNorm,
    pick: DevicePointer? = nil,
    of x: DevicePointer,
    _ dy: DevicePointer,
    to gradient: DevicePointer,
    rounded: DevicePointer?
  ) throws(ReFTError) {
    try launch(
      try kernel("norm_backward", .norm),
      grid: (rows, 1, 1),
      block: Self.rowBlock(norm.size),
      rows,
      norm.size,
      norm.kind,
      x,
      pick,
      norm.weight.pointer,
      norm.epsilon,
      dy,
      gradient,
      rounded
    )
  }

  /// dx = what dy means for x, in float32.
  func normBackwardFloat(
    rows: Int,
    _ norm: DeviceNorm,
    of x: DevicePointer,
    _ dy: DevicePointer,
    to dx: DevicePointer
  ) throws(ReFTError) {
    try launch(
      try kernel("norm_backward_float", .norm),
      grid: (rows, 1, 1),
      block: Self.rowBlock(norm.size),
      rows,
      norm.size,
      norm.kind,
      x,
      norm.weight.pointer,
      norm.epsilon,
      dy,
      dx
    )
  }

  /// Norms runs of `norm.size` numbers of `width` in each row, in place.
  func headNorm(
    rows: Int,
    stride: Int,
    offset: Int,
    width: Int,
    _ norm: DeviceNorm,
    _ x: DevicePointer
  ) throws(ReFTError) {
    try launch(
      try kernel("head_norm", .norm),
      grid: headGrid(rows * (width / norm.size)),
      block: 128,
      rows,
      stride,
      offset,
      width / norm.size,
      norm.size,
      norm.kind,
      norm.weight.pointer,
      norm.bias?.pointer,
      norm.epsilon,
      x
    )
  }

  /// The same backwards, from rows before the norm.
  func headNormBackward(
    rows: Int,
    width: Int,
    _ norm: DeviceNorm,
    bare: DevicePointer,
    bareStride: Int,
    offset: Int,
    _ gradient: DevicePointer,
    stride: Int
  ) throws(ReFTError) {
    try launch(
      try kernel("head_norm_backward", .norm),
      grid: headGrid(rows * (width / norm.size)),
      block: 128,
      rows,
      width / norm.size,
      norm.size,
      norm.kind,
      bare,
      bareStride,
      offset,
      norm.weight.pointer,
      norm.epsilon,
      gradient,
      stride,
      offset
    )
  }

  /// One warp a run.
  private func headGrid(_ runs: Int) -> (Int, Int, Int) { ((runs + 3) / 4, 1, 1) }

  private static func rowBlock(_ width: Int) -> Int { width < 2048 ? 128 : 256 }
}
