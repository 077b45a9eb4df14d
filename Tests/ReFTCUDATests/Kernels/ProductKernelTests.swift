// SPDX-License-Identifier: Apache-2.0
// Products of few rows with what comes before and behind them, of plain and of packed weights.

import CReFTKernels
import Foundation
import ReFTCUDA
import ReFTTensor
import Testing
import _ReFTTestSupport

struct ProductKernelTests {
  /// One product, and what it is made of.
  struct Problem {
    var n: Int
    var rows: Int
    var cols: Int
    var half = 0
    /// 0 RMS, 1 Layer; nil where x is multiplied as it is.
    var norm: Int?
    var gate = false
  }

  static let problems: [Problem] = [
    Problem(n: 1, rows: 10, cols: 1120), Problem(n: 3, rows: 21, cols: 64),
    Problem(n: 8, rows: 35, cols: 288), Problem(n: 2, rows: 48, cols: 576, half: 24, norm: 0),
    Problem(n: 1, rows: 48, cols: 320, half: 24, norm: 1, gate: true),
    Problem(n: 5, rows: 32, cols: 96, norm: 1),
    Problem(n: 8, rows: 16, cols: 544, half: 8, gate: true),
  ]

  @Test("multiplies plain weights", arguments: problems)
  func plain(_ problem: Problem) throws {
    var random = SeededGenerator(seed: 21)
    let padded = KernelShapes.paddedRows(problem.rows)
    let w = CardNumbers(random.normals(padded * problem.cols), .bfloat16)
    let numbers = Array(w.floats[..<(problem.rows * problem.cols)])
    try check("product_plain", w, numbers, problem, unitBytes: 2048, stages: 4)
  }

  private static let formats: [(TensorType, String, String, unit: Int, columns: Int, stages: Int)] =
    [
      (.q4_0, "q4_0", "nibbles", 2304, 256, 2), (.q4_1, "q4_1", "nibbles_from", 2560, 256, 2),
      (.q4_K, "q4_k", "nibbles_from", 2560, 256, 2), (.q5_0, "q5_0", "bytes", 2176, 128, 3),
      (.q8_0, "q8_0", "bytes", 2176, 128, 3), (.q5_1, "q5_1", "bytes_from", 2304, 128, 3),
      (.q5_K, "q5_k", "bytes_from", 2304, 128, 3), (.q6_K, "q6_k", "bytes_of_halves", 2304, 128, 3),
    ]

  @Test("packs a file's blocks, multiplies and unpacks them", arguments: problems)
  func packed(_ problem: Problem) throws {
    var random = SeededGenerator(seed: 22)
    let kernels = try EmulatedKernels(.pack, .bfloat16)
    for (type, file, format, unit, columns, stages) in Self.formats {
      guard problem.cols % type.blockSize == 0 else { continue }
      let (rows, cols) = (problem.rows, problem.cols)
      let bytes = Quantizer.encode(random.normals(rows * cols), as: type)
      let units = KernelShapes.paddedRows(rows) / 16 * ((cols + columns - 1) / columns)
      let packed = CardNumbers(values: [UInt8](repeating: 0xa5, count: units * unit))
      let (r, c, half) = (
        CardArgument.int(rows), CardArgument.int(cols), CardArgument.int(problem.half)
      )
      try kernels.run(
        "pack_\(file)",
        r,
        c,
        half,
        .numbers(CardNumbers(values: bytes)),
        .numbers(packed)
      )
      let out = CardNumbers(room: rows * cols, .bfloat16)
      try kernels.run("unpack_\(format)", r, c, half, .numbers(packed), .numbers(out))
      let numbers = type.numbers(of: bytes, rows * cols)
      // Scales of k-quants are products, which are kept in half precision.
      let isExact = type.blockSize == 32
      if isExact { #expect(out.floats == numbers.map(\.rounded16), "\(file)") }
      expectClose(out.floats, numbers, tolerance: 1e-3, relative: 0x1p-8, file)
      try check(
        "product_\(format)",
        packed,
        numbers,
        problem,
        unitBytes: unit,
        stages: stages,
        isExact
      )
    }
  }

  /// Runs a product in two ways and compares both with double arithmetic.
  private func check(
    _ name: String,
    _ w: CardNumbers,
    _ numbers: [Float],
    _ problem: Problem,
    unitBytes: Int,
    stages: Int,
    _ isExact: Bool = true
  ) throws {
    let (n, rows, cols) = (problem.n, problem.rows, problem.cols)
    var random = SeededGenerator(seed: 23)
    let stream = CardNumbers(random.normals(n * cols))
    let (weight, shift) = (CardNumbers(random.normals(cols)), CardNumbers(random.normals(cols)))
    let x = CardNumbers(random.normals(n * cols), .bfloat16)
    let bias = CardNumbers(random.normals(rows))
    let input = problem.norm.map { normed(stream.floats, weight.floats, shift.floats, $0, cols) }
    let sums = products(input ?? x.floats, numbers, n, rows, bias.floats)
    let expected = problem.gate ? gated(sums, n, problem.half) : sums
    let y = CardNumbers(random.normals(n * (problem.gate ? problem.half : rows)))
    let short = CardNumbers(room: y.count, .bfloat16)
    let before = y.floats
    for target in [y, short] {
      var call = CStructure()
      call.add(w)
      call.add(integers: n, rows, cols, problem.half)
      call.add(problem.norm == nil ? x : nil)
      call.add(problem.norm == nil ? nil : stream)
      call.add(weight)
      call.add(shift)
      call.add(Float(1e-5))
      call.add(integers: problem.norm ?? 0)
      call.add(bias)
      call.add(target === y ? y : nil)
      call.add(target === y ? nil : short)
      call.add(integers: problem.gate ? 0 : -1, target === y ? 1 : 0)
      let groups = target === y ? 2 : 1
      try EmulatedKernels(.product, .bfloat16).run(
        name,
        grid: (2, 1, 1),
        block: groups * KernelShapes.groupThreads,
        sharedBytes: KernelShapes.productBytes(
          groups: groups,
          unitBytes: unitBytes,
          stages: stages,
          rows: n,
          normed: problem.norm == nil ? 0 : cols
        ),
        .structure(call.bytes)
      )
    }
    #expect(y.isIntact && short.isIntact)
    let largest = sums.reduce(1) { max($0, abs($1)) }
    let rounding: Float = (problem.norm == nil ? 3e-6 : 2e-3) + (isExact ? 0 : 1e-3)
    let tolerance = rounding * largest * (problem.gate ? largest : 1)
    expectClose(y.floats, zip(expected, before).map(+), tolerance: tolerance, relative: 1e-6, name)
    expectClose(short.floats, expected, tolerance: tolerance, relative: 0x1p-8, name)
  }

  private func products(
    _ x: [Float],
    _ w: [Float],
    _ n: Int,
    _ rows: Int,
    _ bias: [Float]
  ) -> [Float] {
    let cols = w.count / rows
    return (0..<n * rows).map { at in
      let (i, row) = (at / rows, at % rows)
      return (0..<cols).reduce(bias[row]) { $0 + x[i * cols + $1] * w[row * cols + $1] }
    }
  }

  private func normed(
    _ x: [Float],
    _ weight: [Float],
    _ shift: [Float],
    _ kind: Int,
    _ cols: Int
  ) -> [Float] {
    x.indices.map { at in
      let row = x[(at / cols * cols)..<(at / cols * cols + cols)]
      let mean = kind == 1 ? row.reduce(0, +) / Float(cols) : 0
      let square = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(cols)
      let y = (x[at] - mean) / (square + 1e-5).squareRoot() * weight[at % cols]
      return kind == 1 ? y + shift[at % cols] : y
    }
  }

  private func gated(_ sums: [Float], _ n: Int, _ half: Int) -> [Float] {
    (0..<n * half).map { at in
      let gate = sums[at / half * 2 * half + at % half]
      return gate / (1 + exp(-gate)) * sums[at / half * 2 * half + half + at % half]
    }
  }
}
