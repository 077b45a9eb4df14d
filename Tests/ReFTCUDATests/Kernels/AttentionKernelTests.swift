// SPDX-License-Identifier: Apache-2.0
// Attention, forward and backward, against the same in double.

import ReFTCUDA
import Testing
import _ReFTTestSupport

/// A sequence as the kernels read it: `struct span` of attention.cuh.
private struct Span {
  var start, count, position, prefix: Int32
  var keys, values: UInt64
  var keyStride, keyStart: Int32
  var reserved: (Int32, Int32) = (0, 0)
}

/// A problem in the memory of the emulated card.
private struct AttentionOnCard {
  let problem: AttentionProblem
  let activations: Activations
  let rows, out, lse: CardNumbers
  let caches: [CardNumbers]
  let spans: CardNumbers
  let padded: Int

  init(_ problem: AttentionProblem, _ activations: Activations) {
    (self.problem, self.activations) = (problem, activations)
    var random = SeededGenerator(seed: 5)
    rows = CardNumbers(random.normals(problem.rowCount * problem.stride), activations)
    let numbers = rows.floats
    caches = problem.sequences.enumerated().map { index, sequence in
      let width = problem.keyValueWidth
      var cache = random.normals(sequence.cached * 2 * width)
      for row in 0..<(sequence.cached > 0 ? sequence.count : 0) {
        let at = (problem.start(index) + row) * problem.stride + problem.queryWidth
        cache += numbers[at..<at + 2 * width]
      }
      return CardNumbers(cache, activations)
    }
    out = CardNumbers(room: problem.rowCount * problem.queryWidth, activations)
    lse = CardNumbers(room: problem.rowCount * problem.heads)
    padded = KernelShapes.paddedHead(problem.headSize)
    spans = Self.spans(problem, rows, caches)
  }

  private static func spans(
    _ problem: AttentionProblem,
    _ rows: CardNumbers,
    _ caches: [CardNumbers]
  ) -> CardNumbers {
    func address(_ numbers: CardNumbers, _ index: Int) -> UInt64 {
      let bytes = index * (numbers.format == .float32 ? 4 : 2)
      return UInt64(UInt(bitPattern: numbers.pointer + bytes))
    }
    let width = problem.keyValueWidth
    return CardNumbers(
      values: problem.sequences.enumerated().map { index, sequence in
        let (start, past) = (Int32(problem.start(index)), Int32(problem.past(index)))
        if sequence.cached > 0 {
          return Span(
            start: start,
            count: Int32(sequence.count),
            position: past,
            prefix: 0,
            keys: address(caches[index], 0),
            values: address(caches[index], width),
            keyStride: Int32(2 * width),
            keyStart: 0
          )
        }
        return Span(
          start: start,
          count: Int32(sequence.count),
          position: past,
          prefix: past,
          keys: address(rows, problem.queryWidth),
          values: address(rows, problem.queryWidth + width),
          keyStride: Int32(problem.stride),
          keyStart: start
        )
      }
    )
  }

  /// Pairs of a sequence and the first of 64 of its rows.
  var tiles: [Int] {
    problem.sequences.enumerated().flatMap { index, sequence in
      stride(from: 0, to: sequence.count, by: KernelShapes.attentionTile).flatMap { [index, $0] }
    }
  }

  private var shape: [CardArgument] {
    [
      .int(problem.heads), .int(problem.keyValueHeads), .int(problem.headSize),
      .float(Float(problem.scale)), .float(Float(problem.cap)), .int(problem.window),
      .int(problem.isFull ? 1 : 0),
    ]
  }

  func forward() throws {
    try EmulatedKernels(.attention, activations, ["REFT_HEAD": padded]).run(
      "attention_forward",
      grid: (tiles.count / 2, problem.heads, 1),
      block: KernelShapes.attentionThreads,
      sharedBytes: KernelShapes.attentionForwardBytes(
        head: padded,
        isBFloat16: activations == .bfloat16
      ),
      [
        .numbers(rows), .int(problem.stride), .numbers(spans),
        .numbers(CardNumbers(integers: tiles)),
      ] + shape + [.numbers(out), .int(problem.queryWidth), .numbers(lse)]
    )
  }

  /// d loss / d rows for a d loss / d out.
  func backward(_ dout: CardNumbers) throws -> CardNumbers {
    let kernels = try EmulatedKernels(.attentionBackward, activations, ["REFT_HEAD": padded])
    let (width, heads) = (problem.queryWidth, problem.heads)
    let dots = CardNumbers(room: problem.rowCount * heads)
    try kernels.run(
      "attention_dots",
      grid: ((problem.rowCount * heads + 15) / 16, 1, 1),
      block: 128,
      .int(problem.rowCount),
      .int(heads),
      .int(problem.headSize),
      .numbers(out),
      .int(width),
      .numbers(dout),
      .int(width),
      .numbers(dots)
    )
    let gradient = CardNumbers(
      [Float](repeating: 0, count: problem.rowCount * problem.stride),
      activations
    )
    let bytes = KernelShapes.attentionBackwardBytes(
      head: padded,
      isBFloat16: activations == .bfloat16
    )
    let given: [CardArgument] =
      shape + [.numbers(dout), .int(width), .numbers(lse), .numbers(dots)]
    let places = CardArgument.numbers(CardNumbers(integers: tiles))
    try kernels.run(
      "attention_backward_queries",
      grid: (tiles.count / 2, heads, 1),
      block: 128,
      sharedBytes: bytes,
      [.numbers(rows), .int(problem.stride), .numbers(spans), places] + given
        + [.numbers(gradient), .int(problem.stride)]
    )
    try kernels.run(
      "attention_backward_keys",
      grid: (tiles.count / 2, problem.keyValueHeads, 1),
      block: 128,
      sharedBytes: bytes,
      [
        .numbers(rows), .int(problem.stride), .numbers(spans), .int(problem.sequences.count),
        places,
      ] + given + [
        .part(gradient, from: width), .part(gradient, from: width + problem.keyValueWidth),
        .int(problem.stride),
      ]
    )
    return gradient
  }
}

struct AttentionKernelTests {
  private static let lengths = [1, 63, 64, 65, 130].map { AttentionProblem.Sequence(count: $0) }
  private static let problems = [
    AttentionProblem(
      name: "grouped, causal",
      heads: 4,
      keyValueHeads: 2,
      headSize: 16,
      sequences: lengths
    ),
    AttentionProblem(name: "heads of 64", headSize: 64, sequences: [lengths[2], lengths[4]]),
    AttentionProblem(
      name: "a soft cap, heads of 8",
      keyValueHeads: 2,
      headSize: 8,
      sequences: lengths,
      cap: 3
    ),
    AttentionProblem(
      name: "a window, heads of 20",
      headSize: 20,
      sequences: lengths,
      window: 40
    ),
    AttentionProblem(
      name: "all keys, rows at odd places",
      headSize: 16,
      sequences: lengths,
      isFull: true,
      padding: 3
    ),
    AttentionProblem(
      name: "a shared prefix",
      heads: 4,
      keyValueHeads: 2,
      headSize: 16,
      sequences: [70, 5, 100, 66].map { AttentionProblem.Sequence(count: $0) },
      prefix: 70
    ),
    AttentionProblem(
      name: "large heads",
      headSize: 144,
      sequences: [.init(count: 70)],
      window: 17
    ),
  ]

  /// Relative to the whole, in the root of the mean square.
  private func distance(_ actual: [Float], _ expected: [Double]) -> Double {
    let off = zip(actual, expected).reduce(0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
    return (off / expected.reduce(0) { $0 + $1 * $1 }).squareRoot()
  }

  @Test("attends and takes gradients", arguments: Activations.allCases, problems)
  func gradients(_ activations: Activations, _ problem: AttentionProblem) throws {
    let card = AttentionOnCard(problem, activations)
    var random = SeededGenerator(seed: 6)
    let dout = CardNumbers(random.normals(problem.rowCount * problem.queryWidth), activations)
    try card.forward()
    let found = try card.backward(dout)
    let reference = AttentionReference(
      problem,
      rows: card.rows.floats,
      caches: [],
      dout: dout.floats
    )
    let isRounded = activations == .bfloat16
    expectClose(
      card.out.floats,
      reference.out.map { Float($0) },
      tolerance: isRounded ? 0.01 : 3e-6,
      relative: isRounded ? 0.01 : 1e-6
    )
    expectClose(card.lse.floats, reference.logSumExp.map { Float($0) }, tolerance: 3e-6)
    #expect(distance(found.floats, reference.gradient) < (isRounded ? 6e-3 : 2e-6))
    let largest = reference.gradient.reduce(0) { max($0, abs($1)) }
    expectClose(
      found.floats,
      reference.gradient.map { Float($0) },
      tolerance: Float(largest) * (isRounded ? 0.02 : 1e-5)
    )
  }

  @Test("attends over keys in caches", arguments: Activations.allCases)
  func cached(_ activations: Activations) throws {
    let problem = AttentionProblem(
      name: "cached",
      keyValueHeads: 2,
      headSize: 16,
      sequences: [.init(count: 7, cached: 100), .init(count: 70, cached: 33)]
    )
    let card = AttentionOnCard(problem, activations)
    try card.forward()
    let zeros = [Float](repeating: 0, count: problem.rowCount * problem.queryWidth)
    let reference = AttentionReference(
      problem,
      rows: card.rows.floats,
      caches: card.caches.map(\.floats),
      dout: zeros
    )
    let tolerance: Float = activations == .bfloat16 ? 0.01 : 3e-6
    expectClose(card.out.floats, reference.out.map { Float($0) }, tolerance: tolerance)
  }

  @Test("equal input gives equal bits", arguments: Activations.allCases)
  func deterministic(_ activations: Activations) throws {
    let problem = Self.problems[5]
    var runs: [[Float]] = []
    for _ in 0..<2 {
      let card = AttentionOnCard(problem, activations)
      try card.forward()
      runs.append(card.out.floats + (try card.backward(card.out)).floats)
    }
    #expect(runs[0] == runs[1])
  }
}
