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

  /// Quantises `n` rows that lie `stride` numbers apart.
  init(_ x: UnsafePointer<Float>, n: Int, columns: Int, stride: Int) {
    let blocks = columns / 32
    q = .allocate(capacity: n * columns)
    floats = FloatBuffer(count: 2 * n * blocks)
    counts = .allocate(capacity: 2 * n * blocks)
    raw = reft_activations_t(
      n: n,
      columns: columns,
      q: q.baseAddress,
      scale: floats.base,
      sum: floats.base + n * blocks,
      counts: counts.baseAddress
    )
    reft_quantize_rows(x, stride, &raw)
  }

  deinit {
    q.deallocate()
    counts.deallocate()
  }

  /// All that quantisation writes, as floats.
  var contents: [Float] {
    q.map { Float($0) } + floats.values + counts.map { Float($0) }
  }

  /// The numbers that the rounded rows stand for.
  var values: [Double] {
    q.enumerated().map { index, code in Double(code) * Double(floats[index / 32]) }
  }
}

/// Eight rows of a quantised weight, repacked for decoding.
struct DecodeWeights {
  /// Formats that have a layout for decoding.
  static let types: [TensorType] = [.q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4_K, .q5_K, .q6_K]

  let layout: UInt32
  let group: [UInt8]
  /// The first `rows` rows, expanded.
  let expanded: [[Float]]

  /// Repacks random rows; those from `rows` on are missing.
  init(_ type: TensorType, columns: Int, rows: Int, _ random: inout SeededGenerator) {
    let data = (0..<rows).map { _ in Self.row(type, columns: columns, &random) }
    expanded = data.map { row in
      var out = [Float](repeating: 0, count: columns)
      row.withUnsafeBytes { bytes in
        if let start = bytes.baseAddress { type.dequantize(start, count: columns, into: &out) }
      }
      return out
    }
    layout = reft_rows8_layout(type.rawValue)
    var group = [UInt8](repeating: 0xaa, count: columns / 32 * reft_rows8_block_bytes(layout))
    let bytes = data.first?.count ?? 0
    data.flatMap { $0 }.withUnsafeBytes { all in
      let pointers = (0..<8).map { $0 < rows ? all.baseAddress.map { $0 } : nil }
      let rows = pointers.enumerated().map { index, base in base.map { $0 + index * bytes } }
      reft_rows8_repack(type.rawValue, columns, rows, &group)
    }
    self.group = group
  }

  private static func row(
    _ type: TensorType,
    columns: Int,
    _ random: inout SeededGenerator
  ) -> [UInt8] {
    if Quantizer.types.contains(type) {
      return Quantizer.encode(random.normals(columns), as: type)
    }
    // Random codes, with scales and minima of ordinary size.
    var bytes = random.bytes(type.byteCount(elements: columns))
    for block in stride(from: 0, to: bytes.count, by: type.blockByteCount) {
      for (place, value) in [(0, Float16(0.003)), (2, Float16(0.02))] {
        bytes[block + place] = UInt8(value.bitPattern & 0xff)
        bytes[block + place + 1] = UInt8(value.bitPattern >> 8)
      }
    }
    return bytes
  }
}
