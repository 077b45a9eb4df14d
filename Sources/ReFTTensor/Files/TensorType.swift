// SPDX-License-Identifier: Apache-2.0
// The number formats of tensors in GGUF files. How blocks expand is in CReFTKernels/ref/dequantize_*.c.

import CReFTKernels

// The names of the cases are those of the format, so that people find them again.
// swift-format-ignore: AlwaysUseLowerCamelCase
/// A number format of the GGUF file format, with the format's own type numbers.
public enum TensorType: UInt32, Sendable, CaseIterable {

  /// Single precision.
  case f32 = 0
  /// Half precision.
  case f16 = 1
  /// 4 bits and a scale in blocks of 32.
  case q4_0 = 2
  /// 4 bits, a scale and a minimum in blocks of 32.
  case q4_1 = 3
  /// 5 bits and a scale in blocks of 32.
  case q5_0 = 6
  /// 5 bits, a scale and a minimum in blocks of 32.
  case q5_1 = 7
  /// 8 bits and a scale in blocks of 32.
  case q8_0 = 8
  /// 2 bits in blocks of 256, with 4-bit scales and minima for every 16.
  case q2_K = 10
  /// 3 bits in blocks of 256, with 6-bit scales for every 16.
  case q3_K = 11
  /// 4 bits in blocks of 256, with 6-bit scales and minima for every 32.
  case q4_K = 12
  /// 5 bits in blocks of 256, with 6-bit scales and minima for every 32.
  case q5_K = 13
  /// 6 bits in blocks of 256, with 8-bit scales for every 16.
  case q6_K = 14
  /// 4-bit indices into a fixed table of levels and a scale in blocks of 32.
  case iq4_nl = 20
  /// 4-bit indices into a fixed table of levels in blocks of 256, with 6-bit scales for every 32.
  case iq4_xs = 23
  /// The upper half of single precision.
  case bf16 = 30

  /// How many elements one block holds; 1 for formats without blocks.
  public var blockSize: Int {
    switch self {
    case .f32, .f16, .bf16: 1
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .iq4_nl: 32
    case .q2_K, .q3_K, .q4_K, .q5_K, .q6_K, .iq4_xs: 256
    }
  }

  /// How many bytes one block takes.
  public var blockByteCount: Int {
    switch self {
    case .f32: 4
    case .f16, .bf16: 2
    case .q4_0, .iq4_nl: 18
    case .q4_1: 20
    case .q5_0: 22
    case .q5_1: 24
    case .q8_0: 34
    case .q2_K: 84
    case .q3_K: 110
    case .q4_K: 144
    case .q5_K: 176
    case .q6_K: 210
    case .iq4_xs: 136
    }
  }

  /// The bytes that a number of elements take.
  ///
  /// - Precondition: `elements` is a multiple of `blockSize`, and the result fits an `Int`.
  public func byteCount(elements: Int) -> Int {
    precondition(elements >= 0 && elements % blockSize == 0)
    return elements / blockSize * blockByteCount
  }

  /// Expands elements to float32 with the best kernel of this machine.
  ///
  /// - Parameters:
  ///   - source: whole blocks, at any address; `byteCount(elements: count)` bytes are read.
  ///   - count: how many elements; a multiple of `blockSize`.
  ///   - destination: takes `count` values; must not overlap the source.
  /// - Precondition: `count` is a multiple of `blockSize`.
  public func dequantize(
    _ source: UnsafeRawPointer,
    count: Int,
    into destination: UnsafeMutablePointer<Float>
  ) {
    precondition(count >= 0 && count % blockSize == 0)
    switch self {
    case .f32: reft_dequantize_f32(source, destination, count)
    case .f16: reft_dequantize_f16(source, destination, count)
    case .q4_0: reft_dequantize_q4_0(source, destination, count)
    case .q4_1: reft_dequantize_q4_1(source, destination, count)
    case .q5_0: reft_dequantize_q5_0(source, destination, count)
    case .q5_1: reft_dequantize_q5_1(source, destination, count)
    case .q8_0: reft_dequantize_q8_0(source, destination, count)
    case .q2_K: reft_dequantize_q2_k(source, destination, count)
    case .q3_K: reft_dequantize_q3_k(source, destination, count)
    case .q4_K: reft_dequantize_q4_k(source, destination, count)
    case .q5_K: reft_dequantize_q5_k(source, destination, count)
    case .q6_K: reft_dequantize_q6_k(source, destination, count)
    case .iq4_nl: reft_dequantize_iq4_nl(source, destination, count)
    case .iq4_xs: reft_dequantize_iq4_xs(source, destination, count)
    case .bf16: reft_dequantize_bf16(source, destination, count)
    }
  }
}

extension TensorType: CustomStringConvertible {
  /// The name as people write it, such as "Q4_1".
  public var description: String {
    switch self {
    case .f32: "F32"
    case .f16: "F16"
    case .q4_0: "Q4_0"
    case .q4_1: "Q4_1"
    case .q5_0: "Q5_0"
    case .q5_1: "Q5_1"
    case .q8_0: "Q8_0"
    case .q2_K: "Q2_K"
    case .q3_K: "Q3_K"
    case .q4_K: "Q4_K"
    case .q5_K: "Q5_K"
    case .q6_K: "Q6_K"
    case .iq4_nl: "IQ4_NL"
    case .iq4_xs: "IQ4_XS"
    case .bf16: "BF16"
    }
  }
}
