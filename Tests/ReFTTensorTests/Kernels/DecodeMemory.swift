// SPDX-License-Identifier: Apache-2.0
// Quantised weights and activations for tests of the decoding kernels.

import CReFTKernels
import ReFTTensor
import _ReFTTestSupport

/// Rows of x as int8, with the memory that they lie in.
final class DecodeActivations {
  private let q: UnsafeMutableBufferPointer<Int8>
  private let floats: FloatBuffer
  private let counts: UnsafeMutableBufferPointer<Int32>
  private(set) var raw: reft_activations_t

  /// Quantises `n` rows that lie `stride` numbers apart, for products with repacked rows unless the bytes of
  /// a code are given.
  init(
    _ x: UnsafePointer<Float>,
    n: Int,
    columns: Int,
    stride: Int,
    digits: Int = 1,
    codeBytes: Int? = nil
  ) {
    let blocks = columns / 32
    q = .allocate(capacity: n * digits * columns)
    floats = FloatBuffer(count: 2 * n * blocks)
    counts = .allocate(capacity: 2 * n * blocks)
    raw = reft_activations_t(
      n: n,
      digits: digits,
      code_bytes: codeBytes ?? reft_rows16_code_bytes(digits),
      columns: columns,
      q: q.baseAddress,
      scale: floats.base,
      sum: floats.base + n * blocks,
      counts: counts.baseAddress
    )
    reft_quantize_rows(x, stride, &raw, 0, n)
  }

  deinit {
    q.deallocate()
    counts.deallocate()
  }

  /// All that quantisation makes, as floats.
  var contents: [Float] {
    codes.map { Float($0) } + floats.values + counts.map { Float($0) }
  }

  /// The codes of all rows, [n, columns].
  private var codes: [Int32] {
    var raw = raw
    return (0..<raw.n * raw.columns).map {
      reft_activation_code(&raw, $0 / raw.columns, $0 % raw.columns)
    }
  }

  /// The numbers that the rounded rows stand for, [n, columns].
  var values: [Double] {
    zip(codes, 0...).map { code, index in Double(code) * Double(floats[index / 32]) }
  }
}

/// Rows of a quantised weight, repacked for decoding.
struct DecodeWeights {
  /// Formats that have a layout for decoding.
  static let types = TensorType.allCases.filter { $0.blockSize > 1 }

  let layout: UInt32
  let groups: [UInt8]
  /// The first `rows` rows, expanded.
  let expanded: [[Float]]

  /// Repacks random rows; those that are missing in the last group are zeros.
  init(_ type: TensorType, columns: Int, rows: Int, _ random: inout SeededGenerator) {
    self.init(
      type,
      columns: columns,
      data: (0..<rows).map { _ in Self.row(type, columns: columns, &random) }
    )
  }

  /// Repacks rows whose codes are all the same byte.
  init(_ type: TensorType, columns: Int, rows: Int, code: UInt8) {
    var row = [UInt8](repeating: code, count: type.byteCount(elements: columns))
    Self.setScales(of: &row, type)
    self.init(type, columns: columns, data: [[UInt8]](repeating: row, count: rows))
  }

  private init(_ type: TensorType, columns: Int, data: [[UInt8]]) {
    let rows = data.count
    expanded = data.map { row in
      var out = [Float](repeating: 0, count: columns)
      row.withUnsafeBytes { bytes in
        if let start = bytes.baseAddress { type.dequantize(start, count: columns, into: &out) }
      }
      return out
    }
    layout = reft_rows16_layout(type.rawValue)
    let groupBytes = columns / 32 * reft_rows16_block_bytes(layout)
    var groups = [UInt8](repeating: 0xaa, count: (rows + 15) / 16 * groupBytes)
    let bytes = data.first?.count ?? 0
    data.flatMap { $0 }.withUnsafeBytes { all in
      for first in stride(from: 0, to: rows, by: 16) {
        let pointers = (first..<first + 16).map { row in
          row < rows ? all.baseAddress.map { $0 + row * bytes } : nil
        }
        groups.withUnsafeMutableBufferPointer { groups in
          guard let base = groups.baseAddress else { return }
          reft_rows16_repack(type.rawValue, columns, pointers, base + first / 16 * groupBytes)
        }
      }
    }
    self.groups = groups
  }

  private static func row(
    _ type: TensorType,
    columns: Int,
    _ random: inout SeededGenerator
  ) -> [UInt8] {
    if Quantizer.types.contains(type) {
      return Quantizer.encode(random.normals(columns), as: type)
    }
    var bytes = random.bytes(type.byteCount(elements: columns))
    setScales(of: &bytes, type)
    return bytes
  }

  /// Scales and minima of ordinary size.
  private static func setScales(of bytes: inout [UInt8], _ type: TensorType) {
    for block in stride(from: 0, to: bytes.count, by: type.blockByteCount) {
      let places =
        switch type {
        case .q2_K: [80, 82]
        case .q3_K: [108]
        case .q6_K: [208]
        case .q4_0, .q5_0, .q8_0, .iq4_nl, .iq4_xs: [0]
        default: [0, 2]
        }
      for (place, value) in zip(places, [Float16(0.003), Float16(0.02)]) {
        bytes[block + place] = UInt8(value.bitPattern & 0xff)
        bytes[block + place + 1] = UInt8(value.bitPattern >> 8)
      }
    }
  }
}
