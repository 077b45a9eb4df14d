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
    try launchRows(
      "norm_act",
      rows,
      norm.shape,
      x,
      pick,
      norm.numbers,
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
    try launchRows(
      "norm_float",
      rows,
      norm.shape,
      x,
      norm.numbers,
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
    try launchRows(
      "norm_add",
      rows,
      norm.shape,
      x,
      norm.numbers,
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
    try launchRows(
      "add_norm",
      rows,
      NormShape(size: width, kind: norm?.kind ?? 0),
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
    try launchRows(
      "norm_backward",
      rows,
      norm.shape,
      x,
      pick,
      norm.scales,
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
    try launchRows(
      "norm_backward_float",
      rows,
      norm.shape,
      x,
      norm.scales,
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
      norm.shape,
      norm.numbers,
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
      norm.shape,
      bare,
      bareStride,
      offset,
      norm.scales,
      gradient,
      stride,
      offset
    )
  }

  /// One block a row.
  private func launchRows<each Argument: KernelArgument>(
    _ name: String,
    _ rows: Int,
    _ shape: NormShape,
    _ arguments: repeat each Argument
  ) throws(ReFTError) {
    try launch(
      try kernel(name, .norm),
      grid: (rows, 1, 1),
      block: shape.size < 2048 ? 128 : 256,
      rows,
      shape,
      repeat each arguments
    )
  }

  /// One warp a run.
  private func headGrid(_ runs: Int) -> (Int, Int, Int) { ((runs + 3) / 4, 1, 1) }
}

/// The numbers of a row that a norm takes together, and its kind.
struct NormShape: KernelArgument {
  var size: Int
  var kind: Int

  func append(to arguments: inout KernelArguments) {
    size.append(to: &arguments)
    kind.append(to: &arguments)
  }
}

/// The weights of a norm, its biases on the way forward, and what is added to the mean of squares.
struct NormNumbers: KernelArgument {
  var norm: DeviceNorm
  var hasBias: Bool

  func append(to arguments: inout KernelArguments) {
    norm.weight.pointer.append(to: &arguments)
    if hasBias { (norm.bias?.pointer).append(to: &arguments) }
    norm.epsilon.append(to: &arguments)
  }
}

extension DeviceNorm {
  fileprivate var shape: NormShape { NormShape(size: size, kind: kind) }
  /// What the way forward reads.
  fileprivate var numbers: NormNumbers { NormNumbers(norm: self, hasBias: true) }
  /// What the way back reads.
  fileprivate var scales: NormNumbers { NormNumbers(norm: self, hasBias: false) }
}
