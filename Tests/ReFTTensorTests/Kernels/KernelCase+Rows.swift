// SPDX-License-Identifier: Apache-2.0
// Kernels over rows: normalisation, rotation, sums.

import CReFTKernels
import _ReFTTestSupport

extension KernelCase {
  static let oneSize = (0...70).map { [$0] }

  static let rows: [KernelCase] = [
    KernelCase(
      name: "rmsnorm",
      family: .rows,
      sizes: combinations([0, 1, 3], Array(1...70)),
      warn: 1e-6,
      fail: 5e-6
    ) { size, offset, random in
      let (n, d) = (size[0], size[1])
      let x = KernelMemory(n * (d + 3), offset: offset, &random)
      let weight = KernelMemory(d, offset: offset, &random)
      let y = KernelMemory(n * (d + 5), offset: offset, &random)
      reft_rmsnorm_f32(n, d, x.base, d + 3, weight.base, 1e-5, y.base, d + 5)
      return y.contents
    },
    KernelCase(
      name: "rmsnorm_backward",
      family: .rows,
      sizes: combinations([0, 1, 3], Array(1...70)),
      warn: 3e-6,
      fail: 2e-5
    ) { size, offset, random in
      let (n, d) = (size[0], size[1])
      let x = KernelMemory(n * (d + 3), offset: offset, &random)
      let weight = KernelMemory(d, offset: offset, &random)
      let dy = KernelMemory(n * (d + 1), offset: offset, &random)
      let dx = KernelMemory(n * (d + 5), offset: offset, &random)
      reft_rmsnorm_backward_f32(
        n,
        d,
        x.base,
        d + 3,
        weight.base,
        1e-5,
        dy.base,
        d + 1,
        dx.base,
        d + 5
      )
      return dx.contents
    },
    KernelCase(
      name: "layernorm",
      family: .rows,
      sizes: combinations([0, 1, 3], Array(1...70)),
      warn: 5e-6,
      fail: 2e-5
    ) { size, offset, random in
      let (n, d) = (size[0], size[1])
      let x = KernelMemory(n * (d + 3), offset: offset, &random)
      let weight = KernelMemory(d, offset: offset, &random)
      let bias = KernelMemory(d, offset: offset, &random)
      let y = KernelMemory(n * (d + 5), offset: offset, &random)
      reft_layernorm_f32(n, d, x.base, d + 3, weight.base, bias.base, 1e-3, y.base, d + 5)
      return y.contents
    },
    KernelCase(
      name: "layernorm_backward",
      family: .rows,
      sizes: combinations([0, 1, 3], Array(1...70)),
      warn: 2e-5,
      fail: 1e-4
    ) { size, offset, random in
      let (n, d) = (size[0], size[1])
      let x = KernelMemory(n * (d + 3), offset: offset, &random)
      let weight = KernelMemory(d, offset: offset, &random)
      let dy = KernelMemory(n * (d + 1), offset: offset, &random)
      let dx = KernelMemory(n * (d + 5), offset: offset, &random)
      reft_layernorm_backward_f32(
        n,
        d,
        x.base,
        d + 3,
        weight.base,
        1e-3,
        dy.base,
        d + 1,
        dx.base,
        d + 5
      )
      return dx.contents
    },
    KernelCase(
      name: "rope",
      family: .rows,
      sizes: combinations([0, 1, 3], Array(stride(from: 0, through: 70, by: 2)), [-1, 1]),
      warn: 5e-7,
      fail: 2e-6
    ) { size, offset, random in
      let (heads, headSize) = (size[0], size[1])
      let table = KernelMemory(headSize, offset: offset, &random)
      let row = KernelMemory(heads * headSize, offset: offset, &random)
      reft_rope_f32(heads, headSize, table.base, Float(size[2]), row.base)
      return row.contents
    },
    KernelCase(
      name: "rope_halves",
      family: .rows,
      sizes: combinations([0, 1, 3], Array(stride(from: 0, through: 70, by: 2)), [-1, 1]),
      warn: 5e-7,
      fail: 2e-6
    ) { size, offset, random in
      let (heads, headSize) = (size[0], size[1])
      let table = KernelMemory(headSize, offset: offset, &random)
      let row = KernelMemory(heads * headSize, offset: offset, &random)
      reft_rope_halves_f32(heads, headSize, table.base, Float(size[2]), row.base)
      return row.contents
    },
    KernelCase(name: "scale", family: .rows, sizes: oneSize, warn: 0, fail: 0) {
      size,
      offset,
      random in
      let y = KernelMemory(size[0], offset: offset, &random)
      reft_scale_f32(size[0], -0.7, y.base)
      return y.contents
    },
    KernelCase(name: "axpy", family: .rows, sizes: oneSize, warn: 2e-7, fail: 1e-6) {
      size,
      offset,
      random in
      let x = KernelMemory(size[0], offset: offset, &random)
      let y = KernelMemory(size[0], offset: offset, &random)
      reft_axpy_f32(size[0], -0.7, x.base, y.base)
      return y.contents
    },
    KernelCase(name: "dot", family: .rows, sizes: oneSize, warn: 2e-6, fail: 1e-5) {
      size,
      offset,
      random in
      let x = KernelMemory(size[0], offset: offset, &random)
      let y = KernelMemory(size[0], offset: offset, &random)
      return [reft_dot_f32(size[0], x.base, y.base)]
    },
    KernelCase(
      name: "max",
      family: .rows,
      sizes: (1...70).map { [$0] },
      warn: 0,
      fail: 0
    ) { size, offset, random in
      let x = KernelMemory(size[0], offset: offset, &random)
      return [reft_max_f32(size[0], x.base)]
    },
    KernelCase(name: "select", family: .rows, sizes: oneSize, warn: 0, fail: 0) {
      size,
      offset,
      random in
      let x = KernelMemory(size[0], offset: offset, &random)
      if size[0] > 5 { x.base[5] = .nan }
      let values = KernelMemory(size[0], offset: offset, &random)
      var places = [Int32](repeating: -1, count: size[0] + 1)
      let count = reft_select_f32(size[0], x.base, 0.2, &places, values.base)
      return [Float(count)] + places.prefix(count).map { Float($0) } + values.contents.suffix(8)
        + (0..<count).map { values.base[$0] } + [Float(places[size[0]])]
    },
    KernelCase(
      name: "add_rows",
      family: .rows,
      sizes: combinations(Array(0...70) + [128, 200], [0, 1, 3, 9]),
      warn: 1e-6,
      fail: 5e-6
    ) { size, offset, random in
      let (d, count) = (size[0], size[1])
      let rows = KernelMemory(12 * (d + 3), offset: offset, &random)
      let values = KernelMemory(count, offset: offset, &random)
      let y = KernelMemory(d, offset: offset, &random)
      let places = (0..<count).map { Int32($0 * 5 % 12) }
      reft_add_rows_f32(d, count, places, values.base, rows.base, d + 3, y.base)
      return y.contents
    },
  ]
}
