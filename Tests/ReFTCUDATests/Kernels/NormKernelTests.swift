// SPDX-License-Identifier: Apache-2.0
// Norms of rows and of heads against the processor's kernels.

import CReFTKernels
import ReFTCUDA
import Testing
import _ReFTTestSupport

/// A norm by its number in the kernels.
enum NormKind: Int, CaseIterable, Sendable {
  case rms = 0
  case layer = 1

  private static let epsilon: Float = 1e-5

  /// The processor's norm of rows of the weight's width.
  func applied(_ x: [Float], _ weight: [Float], _ bias: [Float]) -> [Float] {
    let d = weight.count
    var y = x
    switch self {
    case .rms: reft_rmsnorm_f32(x.count / d, d, x, d, weight, Self.epsilon, &y, d)
    case .layer: reft_layernorm_f32(x.count / d, d, x, d, weight, bias, Self.epsilon, &y, d)
    }
    return y
  }

  /// Its way back.
  func gradient(_ x: [Float], _ weight: [Float], _ dy: [Float]) -> [Float] {
    let d = weight.count
    var dx = [Float](repeating: 0, count: x.count)
    switch self {
    case .rms:
      reft_rmsnorm_backward_f32(x.count / d, d, x, d, weight, Self.epsilon, dy, d, &dx, d)
    case .layer:
      reft_layernorm_backward_f32(x.count / d, d, x, d, weight, Self.epsilon, dy, d, &dx, d)
    }
    return dx
  }
}

/// A case of the tests below.
struct NormCase: Sendable, CustomStringConvertible {
  let activations: Activations
  let kind: NormKind
  let width: Int
  var description: String { "\(kind) \(width) \(activations)" }

  static func all(_ widths: [Int]) -> [NormCase] {
    Activations.allCases.flatMap { activations in
      NormKind.allCases.flatMap { kind in
        widths.map { NormCase(activations: activations, kind: kind, width: $0) }
      }
    }
  }
}

struct NormKernelTests {
  private static let picked = [5, 0, 3, 2]

  private func picked(_ x: [Float], _ d: Int) -> [Float] {
    Self.picked.flatMap { x[$0 * d..<($0 + 1) * d] }
  }

  @Test("norms rows as the processor does", arguments: NormCase.all([1096, 7]))
  func forward(_ test: NormCase) throws {
    let kernels = try EmulatedKernels(.norm, test.activations)
    let (d, n) = (test.width, Self.picked.count)
    var random = SeededGenerator(seed: 1)
    let x = CardNumbers(random.normals(6 * d).map { $0 + 0.3 })
    let (weight, bias) = (CardNumbers(random.normals(d)), CardNumbers(random.normals(d)))
    let y = CardNumbers(room: n * d, test.activations)
    let kind = CardArgument.int(test.kind.rawValue)
    try kernels.run(
      "norm_act",
      grid: (n, 1, 1),
      block: 128,
      .int(n),
      .int(d),
      kind,
      .numbers(x),
      .numbers(CardNumbers(integers: Self.picked)),
      .numbers(weight),
      .numbers(bias),
      .float(1e-5),
      .numbers(y)
    )
    let expected = test.kind.applied(picked(x.floats, d), weight.floats, bias.floats)
    expectClose(y.floats, expected, tolerance: 3e-6, relative: test.activations.rounding)
    let plain = test.kind.applied(x.floats, weight.floats, bias.floats)
    let (stream, out) = (CardNumbers(random.normals(6 * d)), CardNumbers(room: 6 * d))
    try kernels.run(
      "norm_add",
      grid: (6, 1, 1),
      block: 128,
      .int(6),
      .int(d),
      kind,
      .numbers(x),
      .numbers(weight),
      .numbers(bias),
      .float(1e-5),
      .numbers(stream),
      .numbers(out)
    )
    expectClose(out.floats, zip(stream.floats, plain).map { $0 + $1 }, tolerance: 5e-6)
    try kernels.run(
      "norm_float",
      grid: (6, 1, 1),
      block: 128,
      .int(6),
      .int(d),
      kind,
      .numbers(x),
      .numbers(weight),
      .numbers(bias),
      .float(1e-5),
      .numbers(x)
    )
    expectClose(x.floats, plain, tolerance: 3e-6, relative: 2e-6)
  }

  @Test("takes gradients of norms as the processor does", arguments: NormCase.all([1096, 7]))
  func backward(_ test: NormCase) throws {
    let kernels = try EmulatedKernels(.norm, test.activations)
    let (d, n) = (test.width, Self.picked.count)
    var random = SeededGenerator(seed: 2)
    let x = CardNumbers(random.normals(6 * d).map { $0 + 0.3 })
    let weight = CardNumbers(random.normals(d))
    let dy = CardNumbers(random.normals(n * d), test.activations)
    let gradient = CardNumbers(random.normals(6 * d))
    let copy = CardNumbers(gradient.floats, test.activations)
    var expected = gradient.floats
    let slopes = test.kind.gradient(picked(x.floats, d), weight.floats, dy.floats)
    for (i, row) in Self.picked.enumerated() {
      for j in 0..<d { expected[row * d + j] += slopes[i * d + j] }
    }
    let kind = CardArgument.int(test.kind.rawValue)
    try kernels.run(
      "norm_backward",
      grid: (n, 1, 1),
      block: 128,
      .int(n),
      .int(d),
      kind,
      .numbers(x),
      .numbers(CardNumbers(integers: Self.picked)),
      .numbers(weight),
      .float(1e-5),
      .numbers(dy),
      .numbers(gradient),
      .numbers(copy)
    )
    expectClose(gradient.floats, expected, tolerance: 2e-5, relative: 1e-5)
    expectClose(copy.floats, expected, tolerance: 2e-5, relative: test.activations.rounding)
    let wide = CardNumbers(random.normals(6 * d))
    let all = test.kind.gradient(x.floats, weight.floats, wide.floats)
    try kernels.run(
      "norm_backward_float",
      grid: (6, 1, 1),
      block: 128,
      .int(6),
      .int(d),
      kind,
      .numbers(x),
      .numbers(weight),
      .float(1e-5),
      .numbers(wide),
      .numbers(wide)
    )
    expectClose(wide.floats, all, tolerance: 2e-5, relative: 1e-5)
  }

  @Test("norms heads in place, and back", arguments: NormCase.all([64, 20]))
  func heads(_ test: NormCase) throws {
    let kernels = try EmulatedKernels(.norm, test.activations)
    let (size, groups, rows) = (test.width, 3, 5)
    let stride = 5 * size
    var random = SeededGenerator(seed: 3)
    let (weight, bias) = (CardNumbers(random.normals(size)), CardNumbers(random.normals(size)))
    let x = CardNumbers(random.normals(rows * stride), test.activations)
    let bare = CardNumbers(x.floats, test.activations)
    let gradient = CardNumbers(random.normals(rows * stride), test.activations)
    var (normed, slopes) = (x.floats, gradient.floats)
    for row in 0..<rows {
      let run = row * stride + size..<row * stride + (1 + groups) * size
      let heads = Array(normed[run])
      slopes.replaceSubrange(
        run,
        with: test.kind.gradient(heads, weight.floats, Array(slopes[run]))
      )
      normed.replaceSubrange(run, with: test.kind.applied(heads, weight.floats, bias.floats))
    }
    let kind = CardArgument.int(test.kind.rawValue)
    try kernels.run(
      "head_norm",
      grid: (4, 1, 1),
      block: 128,
      .int(rows),
      .int(stride),
      .int(size),
      .int(groups),
      .int(size),
      kind,
      .numbers(weight),
      .numbers(bias),
      .float(1e-5),
      .numbers(x)
    )
    expectClose(x.floats, normed, tolerance: 3e-6, relative: test.activations.rounding)
    try kernels.run(
      "head_norm_backward",
      grid: (4, 1, 1),
      block: 128,
      .int(rows),
      .int(groups),
      .int(size),
      kind,
      .numbers(bare),
      .int(stride),
      .int(size),
      .numbers(weight),
      .float(1e-5),
      .numbers(gradient),
      .int(stride),
      .int(size)
    )
    expectClose(gradient.floats, slopes, tolerance: 2e-5, relative: test.activations.rounding)
  }
}
