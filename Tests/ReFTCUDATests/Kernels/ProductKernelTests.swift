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
    let operand = KernelShapes.normedBytes(rows: problem.n, columns: problem.cols)
    try check("product_plain", w, numbers, problem, unitBytes: 2048, stages: 4, operand)
  }

  private static let formats: [(TensorType, String, String, unit: Int, columns: Int)] = [
    (.q4_0, "q4_0", "nibbles", 2304, 256), (.q4_1, "q4_1", "nibbles_from", 2560, 256),
    (.q4_K, "q4_k", "nibbles_from", 2560, 256), (.q5_0, "q5_0", "bytes", 2176, 128),
    (.q8_0, "q8_0", "bytes", 2176, 128), (.q5_1, "q5_1", "bytes_from", 2304, 128),
    (.q5_K, "q5_k", "bytes_from", 2304, 128), (.q6_K, "q6_k", "bytes_of_halves", 2304, 128),
  ]

  @Test("packs a file's blocks, multiplies and unpacks them", arguments: problems)
  func packed(_ problem: Problem) throws {
    var random = SeededGenerator(seed: 22)
    let kernels = try EmulatedKernels(.pack, .bfloat16)
    for (type, file, format, unit, columns) in Self.formats {
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
        stages: 3,
        KernelShapes.digitBytes(rows: problem.n, columns: cols, unitColumns: columns),
        digits: "digits_\(format)",
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
    _ operandBytes: Int,
    digits: String? = nil,
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
    let kernels = try EmulatedKernels(.product, .bfloat16)
    for target in [y, short] {
      let ready = CardNumbers(values: [UInt8](repeating: 0xff, count: operandBytes))
      func operand(_ digits: CardNumbers?) -> CStructure {
        var operand = CStructure()
        operand.add(problem.norm == nil ? x : nil)
        operand.add(problem.norm == nil ? nil : stream)
        operand.add(weight)
        operand.add(shift)
        operand.add(digits)
        operand.add(Float(1e-5))
        operand.add(integers: problem.norm ?? 0, n, cols)
        return operand
      }
      // The product makes its digits itself, or finds them.
      let isReady = digits != nil && problem.norm == nil && target === short
      if let digits, isReady {
        var call = operand(nil)
        call.add(ready)
        let grid = ((cols + 256 + 1023) / 1024, n, 1)
        try kernels.run(digits, grid: grid, block: 128, .structure(call.bytes))
      }
      var call = CStructure()
      call.add(w)
      call.add(operand(isReady ? ready : nil))
      call.add(integers: rows, problem.half)
      call.add(bias)
      call.add(target === y ? y : nil)
      call.add(target === y ? nil : short)
      call.add(integers: problem.gate ? 0 : -1, target === y ? 1 : 0)
      let groups = target === y ? 2 : 1
      try kernels.run(
        name,
        grid: (2, 1, 1),
        block: groups * KernelShapes.groupThreads,
        sharedBytes: KernelShapes.productBytes(
          groups: groups,
          unitBytes: unitBytes,
          stages: stages,
          rows: n,
          operand: operandBytes
        ),
        .structure(call.bytes)
      )
    }
    #expect(y.isIntact && short.isIntact)
    let largest = sums.reduce(1) { max($0, abs($1)) }
    // Two digits of eight bits round a number by 2⁻¹⁶ of the largest of its block.
    let own: Float = digits != nil ? 1e-4 : problem.norm == nil ? 3e-6 : 2e-3
    let rounding = own + (isExact ? 0 : 1e-3)
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
