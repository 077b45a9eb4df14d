// SPDX-License-Identifier: Apache-2.0
// Matrix products and the packing of their operands.

import CReFTKernels
import _ReFTTestSupport

extension KernelCase {
  /// Every combination of the sizes given.
  static func combinations(_ choices: [Int]...) -> [[Int]] {
    choices.reduce([[]]) { sizes, choice in sizes.flatMap { size in choice.map { size + [$0] } } }
  }

  static let products: [KernelCase] = [
    KernelCase(
      name: "gemm_packed",
      family: .products,
      sizes: combinations(
        [0, 1, 2, 3, 4, 5, 6, 7, 12, 13],
        [0, 1, 7, 15, 16, 17, 33, 48],
        [0, 1, 3, 4, 5, 8, 33, 70],
        [0, 1]
      ),
      warn: 4e-6,
      fail: 2e-5
    ) { size, offset, random in
      let (m, columns, kc) = (size[0], size[1], size[2])
      let (lda, ldc, panel) = (kc + 3, columns + 5, kc * 16 + 8)
      let a = KernelMemory(m * lda, offset: offset, &random)
      let b = KernelMemory((columns + 15) / 16 * panel, offset: offset, &random)
      let c = KernelMemory(m * ldc, offset: offset, &random)
      reft_gemm_packed_f32(
        m,
        columns,
        kc,
        a.base,
        lda,
        b.base,
        panel,
        c.base,
        ldc,
        Int32(size[3])
      )
      return c.contents
    },
    KernelCase(
      name: "pack_transposed",
      family: .products,
      sizes: combinations(Array(0...70), [0, 1, 7, 8, 9, 15, 16]),
      warn: 0,
      fail: 0
    ) { size, offset, random in
      let (kc, count) = (size[0], size[1])
      let rows = KernelMemory(16 * (kc + 5), offset: offset, &random)
      let panel = KernelMemory(kc * 16, offset: offset, &random)
      reft_pack_transposed_f32(kc, count, rows.base, kc + 5, panel.base)
      return panel.contents
    },
    KernelCase(
      name: "transpose",
      family: .products,
      sizes: combinations([0, 1, 7, 8, 9, 16, 17, 48], [0, 1, 7, 8, 9, 15, 16, 17, 31, 64, 70]),
      warn: 0,
      fail: 0
    ) { size, offset, random in
      let (rows, columns) = (size[0], size[1])
      let input = KernelMemory(rows * (columns + 3), offset: offset, &random)
      let out = KernelMemory(columns * (rows + 5), offset: offset, &random)
      reft_transpose_f32(rows, columns, input.base, columns + 3, out.base, rows + 5)
      return out.contents
    },
  ]
}
