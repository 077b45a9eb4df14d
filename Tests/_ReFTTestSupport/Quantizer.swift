// SPDX-License-Identifier: Apache-2.0
// Plain round-to-nearest encoders for test models; a real quantiser would choose scales with care.

public import ReFTTensor

/// Encodes float32 values in the formats of GGUF files.
public enum Quantizer {
  /// The formats that can be encoded.
  public static let types: [TensorType] = [
    .f32, .f16, .bf16, .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q6_K,
  ]

  /// The encoded blocks of values.
  ///
  /// - Precondition: the type is one of `types`, and the count a multiple of its block size.
  public static func encode(_ values: [Float], as type: TensorType) -> [UInt8] {
    precondition(values.count % type.blockSize == 0)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(type.byteCount(elements: values.count))
    for start in stride(from: 0, to: values.count, by: type.blockSize) {
      let block = Array(values[start..<start + type.blockSize])
      switch type {
      case .f32: bytes.append(integer: block[0].bitPattern)
      case .f16: bytes.append(integer: Float16(block[0]).bitPattern)
      case .bf16: bytes.append(integer: UInt16(block[0].bitPattern >> 16))
      case .q8_0: encodeSigned(block, bits: 8, into: &bytes)
      case .q4_0: encodeSigned(block, bits: 4, into: &bytes)
      case .q5_0: encodeSigned(block, bits: 5, into: &bytes)
      case .q4_1: encodeFromMinimum(block, bits: 4, into: &bytes)
      case .q5_1: encodeFromMinimum(block, bits: 5, into: &bytes)
      case .q6_K: encodeSixBits(block, into: &bytes)
      case .q2_K, .q3_K, .q4_K, .q5_K, .iq4_nl, .iq4_xs:
        preconditionFailure("no encoder for \(type)")
      }
    }
    return bytes
  }

  /// Codes are value / scale, kept with an offset of half the range (Q8_0: as signed bytes).
  private static func encodeSigned(_ block: [Float], bits: Int, into bytes: inout [UInt8]) {
    let top = 1 << (bits - 1)
    let scale = Float16((block.map { abs($0) }.max() ?? 0) / Float(top - 1))
    bytes.append(integer: scale.bitPattern)
    let codes = block.map { code($0, Float(scale), in: -top...top - 1) }
    if bits == 8 {
      bytes += codes.map { UInt8(bitPattern: Int8($0)) }
    } else {
      pack(codes.map { UInt8($0 + top) }, bits: bits, into: &bytes)
    }
  }

  private static func encodeFromMinimum(_ block: [Float], bits: Int, into bytes: inout [UInt8]) {
    let top = (1 << bits) - 1
    let minimum = Float16(block.min() ?? 0)
    let scale = Float16(((block.max() ?? 0) - Float(minimum)) / Float(top))
    bytes.append(integer: scale.bitPattern)
    bytes.append(integer: minimum.bitPattern)
    let codes = block.map { code($0 - Float(minimum), Float(scale), in: 0...top) }
    pack(codes.map { UInt8($0) }, bits: bits, into: &bytes)
  }

  private static func encodeSixBits(_ block: [Float], into bytes: inout [UInt8]) {
    let maxima = stride(from: 0, to: 256, by: 16).map { start in
      block[start..<start + 16].map { abs($0) }.max() ?? 0
    }
    let scale = Float16((maxima.max() ?? 0) / 31 / 127)
    let scales = maxima.map { code($0 / 31, Float(scale), in: 0...127) }
    var low = [UInt8](repeating: 0, count: 128)
    var high = [UInt8](repeating: 0, count: 64)
    for index in 0..<256 {
      let step = Float(scale) * Float(scales[index / 16])
      let code = code(block[index], step, in: -32...31) + 32
      let (half, quarter, column) = (index / 128, index % 128 / 32, index % 32)
      low[half * 64 + quarter % 2 * 32 + column] |= UInt8(code & 0xf) << (quarter / 2 * 4)
      high[half * 32 + column] |= UInt8(code >> 4) << (quarter * 2)
    }
    bytes += low + high + scales.map { UInt8($0) }
    bytes.append(integer: scale.bitPattern)
  }

  private static func code(_ value: Float, _ scale: Float, in range: ClosedRange<Int>) -> Int {
    scale == 0 ? 0 : min(max(Int((value / scale).rounded()), range.lowerBound), range.upperBound)
  }

  /// Nibbles of elements j and j + 16 share a byte; fifth bits come first, as 32 bits.
  private static func pack(_ codes: [UInt8], bits: Int, into bytes: inout [UInt8]) {
    if bits == 5 {
      let high = codes.enumerated().reduce(UInt32(0)) { $0 | UInt32($1.element >> 4) << $1.offset }
      bytes.append(integer: high)
    }
    bytes += (0..<16).map { codes[$0] & 0xf | codes[$0 + 16] << 4 }
  }
}
