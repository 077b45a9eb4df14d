// SPDX-License-Identifier: Apache-2.0
// Attention of one new token per sequence over a cache, against the same in double.

import ReFTCUDA
import Testing
import _ReFTTestSupport

struct DecodeKernelTests {
  private static let positions = [0, 17, 90]
  private static let problems = [
    AttentionProblem(name: "grouped", heads: 4, keyValueHeads: 2, headSize: 16, sequences: []),
    AttentionProblem(name: "a soft cap", keyValueHeads: 2, headSize: 64, sequences: [], cap: 3),
    AttentionProblem(name: "a window", heads: 6, headSize: 20, sequences: [], window: 9),
    AttentionProblem(name: "heads of 128", heads: 3, headSize: 128, sequences: []),
  ]

  @Test("stores keys and attends over caches", arguments: Activations.allCases, problems)
  func decodes(_ activations: Activations, _ shape: AttentionProblem) throws {
    var problem = shape
    problem.sequences = Self.positions.map { AttentionProblem.Sequence(count: 1, cached: $0) }
    let (n, width, size) = (3, problem.keyValueWidth, problem.headSize)
    var random = SeededGenerator(seed: 7)
    let rows = CardNumbers(random.normals(n * problem.stride), activations)
    let caches = (0..<2 * n).map { _ in CardNumbers(random.normals(100 * width), activations) }
    let addresses = caches.map { UInt64(UInt(bitPattern: $0.pointer)) }
    let (keys, values) = (
      CardNumbers(values: Array(addresses[..<n])), CardNumbers(values: Array(addresses[n...]))
    )
    let positions = CardNumbers(integers: Self.positions)
    let before = (0..<n).map { index in
      (0..<Self.positions[index]).flatMap { position in
        let run = position * width..<(position + 1) * width
        return caches[index].floats[run] + caches[n + index].floats[run]
      }
    }
    try EmulatedKernels(.cache, activations).run(
      "store_cache",
      .int(n),
      .numbers(rows),
      .int(problem.stride),
      .int(problem.queryWidth),
      .int(width),
      .numbers(CardNumbers(integers: [0, 1, 2])),
      .numbers(positions),
      .numbers(keys),
      .numbers(values)
    )
    for (index, position) in Self.positions.enumerated() {
      let own = index * problem.stride + problem.queryWidth
      let run = position * width..<(position + 1) * width
      #expect(Array(caches[index].floats[run]) == Array(rows.floats[own..<own + width]))
      #expect(
        Array(caches[n + index].floats[run]) == Array(rows.floats[own + width..<own + 2 * width])
      )
      #expect(caches[index].isIntact && caches[n + index].isIntact)
    }
    let head = KernelShapes.paddedHead(size)
    let kernels = try EmulatedKernels(.decode, activations, ["REFT_HEAD": head])
    let splits = 4
    let parts = CardNumbers(room: n * problem.heads * splits * (size + 2))
    let out = CardNumbers(room: n * problem.queryWidth, activations)
    try kernels.run(
      "attention_decode",
      grid: (splits, problem.keyValueHeads, n),
      block: 128,
      .numbers(rows),
      .int(problem.stride),
      .int(n),
      .int(problem.heads),
      .int(problem.keyValueHeads),
      .int(size),
      .float(Float(problem.scale)),
      .float(Float(problem.cap)),
      .int(problem.window),
      .numbers(keys),
      .numbers(values),
      .numbers(positions),
      .int(splits),
      .numbers(parts)
    )
    try kernels.run(
      "attention_decode_join",
      grid: (problem.heads, n, 1),
      block: 64,
      .int(problem.heads),
      .int(size),
      .int(splits),
      .numbers(parts),
      .numbers(out),
      .int(problem.queryWidth)
    )
    let zeros = [Float](repeating: 0, count: n * problem.queryWidth)
    let reference = AttentionReference(problem, rows: rows.floats, caches: before, dout: zeros)
    expectClose(
      out.floats,
      reference.out.map { Float($0) },
      tolerance: 3e-6,
      relative: activations.rounding
    )
    // Kernels know them by address alone.
    withExtendedLifetime(caches) {}
  }
}
