// SPDX-License-Identifier: Apache-2.0
// Cross entropy, the finish of logits and the largest of them against plain Swift in double.

import Foundation
import ReFTCUDA
import Testing
import _ReFTTestSupport

struct LossKernelTests {
  /// A vocabulary, and what is done to its logits.
  struct Case: Sendable {
    let vocabulary: Int
    let cap: Float
    let hasBias: Bool
  }
  private static let cases = [
    Case(vocabulary: 1000, cap: 0, hasBias: false), Case(vocabulary: 1000, cap: 5, hasBias: true),
    Case(vocabulary: 333, cap: 5, hasBias: false), Case(vocabulary: 333, cap: 0, hasBias: true),
  ]

  @Test("takes losses, gradients and finished logits", arguments: Activations.allCases, cases)
  func crossEntropy(_ activations: Activations, _ test: Case) throws {
    let kernels = try EmulatedKernels(.loss, activations)
    let (n, count, labels, scale) = (3, test.vocabulary, [7, 0, 332], Float(64))
    var random = SeededGenerator(seed: 1)
    let logits = CardNumbers(random.normals(n * count, scale: 4))
    let bias = test.hasBias ? CardNumbers(random.normals(count)) : nil
    let (losses, slopes) = (CardNumbers(room: n), CardNumbers(room: n * count, activations))
    for gradient in [nil, slopes] {
      try kernels.run(
        "cross_entropy",
        grid: (n, 1, 1),
        block: 256,
        .int(n),
        .int(count),
        .numbers(logits),
        .numbers(bias),
        .float(test.cap),
        .numbers(CardNumbers(integers: labels)),
        .float(scale),
        .numbers(losses),
        .numbers(gradient)
      )
    }
    let (cap, added) = (Double(test.cap), bias?.floats)
    let z = logits.floats.enumerated().map { at, x in
      let x = Double(x) + Double(added?[at % count] ?? 0)
      return cap > 0 ? cap * tanh(x / cap) : x
    }
    for row in 0..<n {
      let own = z[row * count..<(row + 1) * count]
      let logSum = log(own.reduce(0) { $0 + exp($1) })
      let label = row * count + labels[row]
      expectClose(losses.floats[row], Float(logSum - z[label]), tolerance: 5e-6, relative: 1e-6)
      let expected = own.indices.map { at in
        let slope = cap > 0 ? 1 - (z[at] / cap) * (z[at] / cap) : 1
        return Float(Double(scale) * slope * (exp(z[at] - logSum) - (at == label ? 1 : 0)))
      }
      let found = slopes.floats[own.indices]
      expectClose(found, expected, tolerance: 2e-5, relative: activations.rounding + 1e-5)
    }
    try kernels.run(
      "finish_logits",
      .int(n),
      .int(count),
      .numbers(bias),
      .float(test.cap),
      .numbers(logits)
    )
    expectClose(logits.floats, z.map { Float($0) }, tolerance: 2e-6, relative: 1e-6)
  }

  @Test("finds the largest logit, the first of equal ones, or the first that is no number")
  func largest() throws {
    var random = SeededGenerator(seed: 2)
    var logits = random.normals(4 * 1000)
    logits[1000 + 711] = 50
    logits[1000 + 35] = 50
    logits[2000] = 60
    logits[3100] = .nan
    logits[3700] = .infinity
    let found = CardNumbers(integers: [Int](repeating: -1, count: 8))
    try EmulatedKernels(.loss, .float32).run(
      "argmax",
      grid: (4, 1, 1),
      block: 256,
      .int(4),
      .int(1000),
      .numbers(CardNumbers(logits)),
      .numbers(found)
    )
    let first = logits[..<1000]
    let ids = [Int32(first.firstIndex(of: first.max() ?? 0) ?? -1), 35, 0, 100]
    #expect(stride(from: 0, to: 8, by: 2).map { found.integers[$0] } == ids)
    let values = stride(from: 1, to: 8, by: 2).map {
      Float(bitPattern: UInt32(bitPattern: found.integers[$0]))
    }
    #expect(Array(values[..<3]) == [first.max() ?? 0, 50, 60])
    #expect(values[3].isNaN)
  }
}
