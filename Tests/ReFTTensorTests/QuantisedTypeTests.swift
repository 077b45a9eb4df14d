// SPDX-License-Identifier: Apache-2.0
// Number formats against gguf's own reader, and our encoders against our kernels.

import CReFTKernels
import ReFTTensor
import Testing
import _ReFTTestSupport

struct QuantisedTypeTests {
  static let goldens: [TensorType] = [
    .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q2_K, .q3_K, .q4_K, .q5_K, .q6_K, .iq4_nl, .iq4_xs,
  ]

  @Test("expands blocks to the numbers that gguf's reader gives", arguments: goldens)
  func golden(type: TensorType) throws {
    let file = try Safetensors.read(path: Fixture.path("quants/\(type).safetensors"))
    let raw = try file.bytes("raw")
    let expected = try file.floats("expected")
    #expect(raw.count == type.byteCount(elements: expected.count))
    let start = try #require(raw.baseAddress)
    var actual = [Float](repeating: .nan, count: expected.count)
    withExtendedLifetime(file) { type.dequantize(start, count: expected.count, into: &actual) }
    // One rounding: half a unit in the last place of the result, or of the larger term before the
    // subtraction of the minimum.
    expectClose(actual, expected, tolerance: 1e-6, relative: 0x1p-23, "\(type)")
  }

  @Test("half precision expands exactly, for every bit pattern")
  func everyHalf() {
    let patterns = (0...UInt16.max).map { $0 }
    var actual = [Float](repeating: 0, count: patterns.count)
    patterns.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return }
      TensorType.f16.dequantize(start, count: patterns.count, into: &actual)
    }
    expectIdentical(actual, patterns.map { Float(Float16(bitPattern: $0)) })
  }

  @Test("bfloat16 expands exactly, for every bit pattern")
  func everyBrainFloat() {
    let patterns = (0...UInt16.max).map { $0 }
    var actual = [Float](repeating: 0, count: patterns.count)
    patterns.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return }
      TensorType.bf16.dequantize(start, count: patterns.count, into: &actual)
    }
    expectIdentical(actual, patterns.map { Float(bitPattern: UInt32($0) << 16) })
  }

  @Test("what is encoded comes back within half a step", arguments: Quantizer.types)
  func encoders(type: TensorType) {
    var random = SeededGenerator(seed: 7)
    let values = random.normals(1024)
    let bytes = Quantizer.encode(values, as: type)
    #expect(bytes.count == type.byteCount(elements: values.count))
    var actual = [Float](repeating: .nan, count: values.count)
    bytes.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return }
      type.dequantize(start, count: values.count, into: &actual)
    }
    // The widest block spans about ±4.
    let step: Float =
      switch type {
      case .f32: 0
      case .f16: 0x1p-9
      case .bf16: 0x1p-5
      case .q8_0: 4 / 127
      case .q6_K: 4 / 31
      case .q5_0, .q5_1: 4 / 15
      default: 4 / 7
      }
    expectClose(actual, values, tolerance: step * 0.6, "\(type)")
  }
}
