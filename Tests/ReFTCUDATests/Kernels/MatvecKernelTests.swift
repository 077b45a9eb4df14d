// SPDX-License-Identifier: Apache-2.0
// Products with few rows as the exact way has them, and blocks made into activations.

import CReFTKernels
import ReFTCUDA
import ReFTTensor
import Testing
import _ReFTTestSupport

struct MatvecKernelTests {
  /// x Wᵀ in double, [n, rows].
  private func product(_ x: [Float], _ w: [Float], _ n: Int, _ rows: Int) -> [Float] {
    let cols = w.count / rows
    return (0..<n * rows).map { at in
      let (i, row) = (at / rows, at % rows)
      let sum = (0..<cols).reduce(0) { $0 + Double(x[i * cols + $1]) * Double(w[row * cols + $1]) }
      return Float(sum)
    }
  }

  /// Runs both forms of a kernel and compares them.
  private func check(
    _ kernels: EmulatedKernels,
    _ name: String,
    _ w: CardNumbers,
    _ numbers: [Float],
    _ activations: Activations,
    n: Int,
    rows: Int
  ) throws {
    let cols = numbers.count / rows
    var random = SeededGenerator(seed: 8)
    let x = CardNumbers(random.normals(n * cols), activations)
    let (bias, y) = (CardNumbers(random.normals(rows)), CardNumbers(random.normals(n * rows)))
    let bare = product(x.floats, numbers, n, rows)
    let before = y.floats
    let (grid, block) = ((rows + 3) / 4, 128)
    try kernels.run(
      name,
      grid: (grid, 1, 1),
      block: block,
      .int(rows),
      .int(cols),
      .numbers(w),
      .numbers(x),
      .numbers(bias),
      .int(1),
      .numbers(y)
    )
    let expected = bare.enumerated().map { $1 + before[$0] + bias.floats[$0 % rows] }
    let largest = bare.reduce(1) { max($0, abs($1)) }
    expectClose(y.floats, expected, tolerance: 3e-6 * largest, relative: 1e-6, name)
    let short = CardNumbers(room: n * rows, activations)
    try kernels.run(
      "\(name)_to_act",
      grid: (grid, 1, 1),
      block: block,
      .int(rows),
      .int(cols),
      .numbers(w),
      .numbers(x),
      .numbers(nil),
      .int(0),
      .numbers(short)
    )
    expectClose(
      short.floats,
      bare,
      tolerance: 3e-6 * largest,
      relative: activations.rounding,
      name
    )
  }

  @Test("multiplies plain weights", arguments: Activations.allCases, [1, 3, 8])
  func plain(_ activations: Activations, _ n: Int) throws {
    let kernels = try EmulatedKernels(.matvec, activations, ["REFT_N": n])
    var random = SeededGenerator(seed: 9)
    for (rows, cols) in [(10, 1096), (5, 77), (21, 32)] {
      let w = CardNumbers(random.normals(rows * cols), activations)
      try check(kernels, "matvec_act", w, w.floats, activations, n: n, rows: rows)
    }
  }

  @Test("makes a file's blocks activations, bit for bit", arguments: Activations.allCases)
  func expands(_ activations: Activations) throws {
    let kernels = try EmulatedKernels(.expand, activations)
    let types: [(TensorType, String)] = [
      (.q4_0, "q4_0"), (.q4_1, "q4_1"), (.q5_0, "q5_0"), (.q5_1, "q5_1"), (.q8_0, "q8_0"),
      (.q4_K, "q4_k"), (.q5_K, "q5_k"), (.q6_K, "q6_k"), (.f16, "f16"), (.bf16, "bf16"),
      (.f32, "f32"),
    ]
    var random = SeededGenerator(seed: 11)
    for (type, name) in types {
      let count = type.blockSize == 1 ? 1021 : 1024
      let bytes = Quantizer.encode(random.normals(count), as: type)
      let out = CardNumbers(room: count, activations)
      try kernels.run(
        "expand_\(name)",
        .numbers(CardNumbers(values: bytes)),
        .long(count),
        .numbers(out)
      )
      let numbers = type.numbers(of: bytes, count)
      #expect(
        out.floats == (activations == .float32 ? numbers : numbers.map(\.rounded16)),
        "\(name)"
      )
    }
  }
}

extension TensorType {
  /// The numbers of a file's blocks.
  func numbers(of bytes: [UInt8], _ count: Int) -> [Float] {
    var numbers = [Float](repeating: 0, count: count)
    reft_dequantize_kernel(rawValue)?(bytes, &numbers, count)
    return numbers
  }
}
