// SPDX-License-Identifier: Apache-2.0
// Attention of one new token per sequence over a cache, against the same in double.

import CReFTKernels
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

  /// How many numbers of a head of some size turn, and whether pairs are halves apart.
  private static let turns: [Int: (Int, Bool)] = [16: (16, true), 20: (12, false), 128: (64, true)]

  /// Rows whose queries and keys are turned by their position.
  private func turned(
    _ rows: [Float],
    _ problem: AttentionProblem,
    _ width: Int,
    _ isHalves: Bool,
    _ angles: [Float]
  ) -> [Float] {
    guard width > 0 else { return rows }
    var rows = rows
    rows.withUnsafeMutableBufferPointer { numbers in
      guard let base = numbers.baseAddress else { return }
      for (row, position) in Self.positions.enumerated() {
        let of = Array(angles[position * width..<(position + 1) * width])
        for head in 0..<problem.heads + problem.keyValueHeads {
          let place = base + row * problem.stride + head * problem.headSize
          (isHalves ? reft_rope_halves_f32 : reft_rope_f32)(1, width, of, 1, place)
        }
      }
    }
    return rows
  }

  @Test("turns and stores keys and attends over caches", arguments: Activations.allCases, problems)
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
    let (turnWidth, isHalves) = Self.turns[size] ?? (0, false)
    let angles = turnWidth > 0 ? CardNumbers(random.normals(100 * turnWidth)) : nil
    let turned = CardNumbers(
      self.turned(rows.floats, problem, turnWidth, isHalves, angles?.floats ?? []),
      activations
    )
    let head = KernelShapes.paddedHead(size)
    let kernels = try EmulatedKernels(.decode, activations, ["REFT_HEAD": head])
    let splits = 4
    let parts = CardNumbers(room: n * problem.heads * splits * (size + 2))
    let out = CardNumbers(room: n * problem.queryWidth, activations)
    let done = CardNumbers(integers: [Int](repeating: 0, count: n * problem.keyValueHeads))
    var call = CStructure()
    call.add(rows)
    call.add(integers: problem.stride, problem.heads, problem.keyValueHeads, size)
    call.add(Float(problem.scale))
    call.add(Float(problem.cap))
    call.add(integers: problem.window, splits)
    for list in [keys, values, positions] { call.add(list) }
    call.add(angles)
    call.add(integers: turnWidth, isHalves ? 1 : 0)
    for list in [parts, done, out] { call.add(list) }
    try kernels.run(
      problem.heads > problem.keyValueHeads ? "attention_decode_groups" : "attention_decode",
      grid: (splits, problem.keyValueHeads, n),
      block: 128,
      .structure(call.bytes)
    )
    #expect(done.integers.allSatisfy { $0 == 0 })
    #expect(out.isIntact && parts.isIntact && rows.isIntact)
    for (index, position) in Self.positions.enumerated() {
      let own = index * problem.stride + problem.queryWidth
      let run = position * width..<(position + 1) * width
      expectClose(
        Array(caches[index].floats[run]),
        Array(turned.floats[own..<own + width]),
        tolerance: 2e-6,
        relative: activations.rounding
      )
      #expect(
        Array(caches[n + index].floats[run]) == Array(rows.floats[own + width..<own + 2 * width])
      )
      #expect(caches[index].isIntact && caches[n + index].isIntact)
    }
    let zeros = [Float](repeating: 0, count: n * problem.queryWidth)
    let reference = AttentionReference(problem, rows: turned.floats, caches: before, dout: zeros)
    expectClose(
      out.floats,
      reference.out.map { Float($0) },
      tolerance: activations == .float32 ? 3e-6 : 1e-2,
      relative: activations.rounding
    )
    // Kernels know them by address alone.
    withExtendedLifetime(caches) {}
  }
}
