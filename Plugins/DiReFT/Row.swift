// SPDX-License-Identifier: Apache-2.0
// The arithmetic of one row of DiReFT: d is its width, r the rank; W1 and W2 are [r, d], row-major.

import Glibc

/// The function between the two matrices.
enum Activation: String, CaseIterable {
  case linear, relu, gelu, silu, tanh

  func value(_ a: Float) -> Float {
    switch self {
    case .linear: a
    case .relu: max(a, 0)
    case .gelu: 0.5 * a * (1 + erff(a * 0.70710678))
    case .silu: a / (1 + expf(-a))
    case .tanh: tanhf(a)
    }
  }

  func slope(_ a: Float) -> Float {
    switch self {
    case .linear: return 1
    case .relu: return a > 0 ? 1 : 0
    case .gelu: return 0.5 * (1 + erff(a * 0.70710678)) + a * 0.39894228 * expf(-0.5 * a * a)
    case .silu:
      let s = 1 / (1 + expf(-a))
      return s * (1 + a * (1 - s))
    case .tanh:
      let t = tanhf(a)
      return 1 - t * t
    }
  }
}

/// Loops over one row; each sum runs in an order that no other row can change.
struct Row {
  typealias Input = UnsafePointer<Float>
  typealias Output = UnsafeMutablePointer<Float>

  let width: Int
  let rank: Int
  let activation: Activation

  // a = W1 h + b
  func project(_ h: Input, _ source: Input, _ bias: Input, into a: Output) {
    for k in 0..<rank { a[k] = dot(source + k * width, h) + bias[k] }
  }

  // y = h + W2ᵀ act(a); y may be h
  func lift(_ projection: Input, _ a: Output, _ h: Input, into y: Output) {
    if Input(y) != h { y.update(from: h, count: width) }
    for k in 0..<rank { add(activation.value(a[k]), projection + k * width, to: y) }
  }

  // da = (W2 g) act'(a)
  func projectBack(_ projection: Input, _ a: Input, _ g: Input, into da: Output) {
    for k in 0..<rank { da[k] = dot(projection + k * width, g) * activation.slope(a[k]) }
  }

  // dx = g + W1ᵀ da; dx may be g
  func liftBack(_ source: Input, _ da: Output, _ g: Input, into dx: Output) {
    if Input(dx) != g { dx.update(from: g, count: width) }
    for k in 0..<rank { add(da[k], source + k * width, to: dx) }
  }

  // dW2 += act(a) gᵀ
  func addProjectionGradient(_ a: Input, _ g: Input, to gradient: Output) {
    for k in 0..<rank { add(activation.value(a[k]), g, to: gradient + k * width) }
  }

  // dW1 += da hᵀ
  func addSourceGradient(_ da: Output, _ h: Input, to gradient: Output) {
    for k in 0..<rank { add(da[k], h, to: gradient + k * width) }
  }

  /// Sixteen sums side by side: fast without leave to reorder a single one.
  private func dot(_ x: Input, _ y: Input) -> Float {
    var lanes = SIMD16<Float>.zero
    var j = 0
    while j + 16 <= width {
      lanes += load(x + j) * load(y + j)
      j += 16
    }
    var sum = lanes.sum()
    while j < width {
      sum += x[j] * y[j]
      j += 1
    }
    return sum
  }

  private func load(_ x: Input) -> SIMD16<Float> {
    UnsafeRawPointer(x).loadUnaligned(as: SIMD16<Float>.self)
  }

  private func add(_ factor: Float, _ x: Input, to y: Output) {
    for j in 0..<width { y[j] += factor * x[j] }
  }
}
