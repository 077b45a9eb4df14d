// SPDX-License-Identifier: Apache-2.0
// The decoding kernels: rows as int8, and their products with sixteen interleaved rows.

import CReFTKernels
import ReFTTensor
import _ReFTTestSupport

extension KernelCase {
  static let decode: [KernelCase] =
    [
      KernelCase(
        name: "quantize_rows",
        family: .decode,
        sizes: combinations([0, 1, 3], [32, 64, 96], [1, 2], [1, 2])
          .filter { $0[3] <= $0[2] },
        warn: 0,
        fail: 0
      ) { size, offset, random in
        let (n, columns) = (size[0], size[1])
        let x = KernelMemory(n * (columns + 5), offset: offset, &random)
        if n == 3 {
          // A block of zeros, one of numbers too small for a scale, and ties between two codes.
          for index in 0..<32 { x.base[index] = 0 }
          for index in 0..<32 { x.base[columns + 5 + index] = 1e-38 }
          for index in 0..<32 { x.base[2 * (columns + 5) + index] = Float(index) + 0.5 }
          x.base[2 * (columns + 5)] = 127
        }
        return DecodeActivations(
          x.base,
          n: n,
          columns: columns,
          stride: columns + 5,
          digits: size[2],
          codeBytes: size[3]
        ).contents
      }
    ]
    + DecodeWeights.types.map { type in
      KernelCase(
        name: "rows16_dot of \(type)",
        family: .decode,
        sizes: combinations(
          Array(0...9) + [19],
          [1, 5, 8, 9, 16, 21, 32, 37],
          type.blockSize == 256 ? [256, 512] : [32, 64, 224],
          [1, 2]
        ),
        warn: 1e-5,
        fail: 2e-5
      ) { size, offset, random in
        let (n, rows, columns, digits) = (size[0], size[1], size[2], size[3])
        let weights = DecodeWeights(type, columns: columns, rows: rows, &random)
        let x = KernelMemory(n * columns, offset: offset, &random)
        let y = KernelMemory(n * (rows + 3), offset: offset, &random)
        let activations = DecodeActivations(
          x.base,
          n: n,
          columns: columns,
          stride: columns,
          digits: digits
        )
        var raw = activations.raw
        withExtendedLifetime(activations) {
          reft_rows16_dot(weights.layout, weights.groups, &raw, rows, y.base, rows + 3)
        }
        return y.contents
      }
    }

  /// Rows of a file's format, repacked: every byte.
  static let repacked: [KernelCase] = DecodeWeights.types.map { type in
    KernelCase(
      name: "rows16_repack of \(type)",
      family: .decode,
      sizes: combinations([16, 21], type.blockSize == 256 ? [256, 768] : [32, 96, 544]),
      warn: 0,
      fail: 0
    ) { size, _, random in
      DecodeWeights(type, columns: size[1], rows: size[0], &random).groups.map { Float($0) }
    }
  }

  /// Repacked rows as floats.
  static let values: [KernelCase] = DecodeWeights.types.map { type in
    KernelCase(
      name: "rows16_values of \(type)",
      family: .decode,
      sizes: combinations([0, 3, 7], [1, 2, 5]).filter { $0[0] + $0[1] <= 8 },
      warn: 0,
      fail: 0
    ) { size, offset, random in
      let weights = DecodeWeights(type, columns: 256, rows: 16, &random)
      let out = KernelMemory(16 * 32 * size[1], offset: offset, &random)
      reft_rows16_values(weights.layout, weights.groups, size[0], size[1], out.base)
      return out.contents
    }
  }

  /// Floating-point weights at odd addresses, times few rows.
  static let plainRows: [KernelCase] = [TensorType.f32, .f16, .bf16].map { type in
    KernelCase(
      name: "plain_rows_dot of \(type)",
      family: .decode,
      sizes: combinations([0, 1, 2, 3, 5], [0, 1, 4], [1, 7, 8, 9, 31, 32, 33, 64, 75], [0, 1]),
      warn: 1e-5,
      fail: 2e-5
    ) { size, offset, random in
      let (n, rows, columns) = (size[0], size[1], size[2])
      let data = [UInt8](repeating: 0, count: 1) + encoded(random.normals(rows * columns), type)
      let x = KernelMemory(n * (columns + 3), offset: offset, &random)
      let y = KernelMemory(n * (rows + 3), offset: offset, &random)
      withPlainRows(type, data, offset: 1, rows: rows, columns: columns) { weights in
        reft_plain_rows_dot(&weights, n, x.base, columns + 3, y.base, rows + 3, Int32(size[3]))
      }
      return y.contents
    }
  }

  /// Floating-point weights at odd addresses, rounded, times the rows of a prompt.
  static let roundedRows: [KernelCase] = [TensorType.f16, .bf16].map { type in
    KernelCase(
      name: "rounded_rows_dot of \(type)",
      family: .decode,
      sizes: combinations([0, 1, 3, 4, 5, 9, 17], [16, 48], [32, 64, 288, 544]),
      warn: 0,
      fail: 0
    ) { size, offset, random in
      let (n, rows, columns) = (size[0], size[1], size[2])
      var values = random.normals(rows * columns)
      // Zeros, numbers too small for a scale, and one that is much larger than its neighbours.
      for index in 0..<16 { (values[index], values[columns + index]) = (0, 1e-38) }
      values[20] = 3e4
      let data = [UInt8](repeating: 0, count: 1) + encoded(values, type)
      let x = KernelMemory(n * columns, offset: offset, &random)
      let y = KernelMemory(n * (rows + 3), offset: offset, &random)
      let activations = DecodeActivations(
        x.base,
        n: n,
        columns: columns,
        stride: columns,
        digits: 2,
        codeBytes: 2
      )
      var raw = activations.raw
      withExtendedLifetime(activations) {
        roundedDot(type, data, offset: 1, rows: rows, &raw, into: y.base, stride: rows + 3)
      }
      return y.contents
    }
  }

  /// y[n, rows] = x Wᵀ with weights, encoded from `offset` on, that are rounded for it.
  static func roundedDot(
    _ type: TensorType,
    _ data: [UInt8],
    offset: Int,
    rows: Int,
    _ x: inout reft_activations_t,
    into y: UnsafeMutablePointer<Float>,
    stride: Int
  ) {
    let blocks = rows / Int(REFT_DECODE_ROWS) * (x.columns / Int(REFT_DECODE_BLOCK))
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: blocks * Int(REFT_ROUNDED_BLOCK),
      alignment: 32
    )
    defer { memory.deallocate() }
    withPlainRows(type, data, offset: offset, rows: rows, columns: x.columns) { weights in
      reft_round_plain_rows(&weights, memory)
    }
    reft_rounded_rows_dot(memory, rows, &x, y, stride)
  }

  /// Gives `body` the rows that are encoded from `offset` on.
  static func withPlainRows(
    _ type: TensorType,
    _ data: [UInt8],
    offset: Int = 0,
    rows: Int,
    columns: Int,
    _ body: (inout reft_plain_rows_t) -> Void
  ) {
    data.withUnsafeBytes { bytes in
      var weights = reft_plain_rows_t(
        type: type.rawValue,
        data: bytes.baseAddress.map { $0 + offset },
        bytes: type.byteCount(elements: columns),
        rows: rows,
        columns: columns
      )
      body(&weights)
    }
  }

  private static func encoded(_ values: [Float], _ type: TensorType) -> [UInt8] {
    Quantizer.encode(values, as: type)
  }
}
