// SPDX-License-Identifier: Apache-2.0
// The AVX2 dequantise kernels against the plain loops that specify them: the same bits.

#if arch(x86_64)

import CReFTKernels
import ReFTTensor
import Testing
import _ReFTTestSupport

struct DequantizeKernelTests {
  struct Kernel: Sendable, CustomTestStringConvertible {
    typealias Function =
      @convention(c) (UnsafeRawPointer?, UnsafeMutablePointer<Float>?, Int) -> Void
    let type: TensorType
    let reference: Function
    let fast: Function
    var testDescription: String { "\(type)" }
  }

  static let kernels: [Kernel] = [
    Kernel(type: .f32, reference: reft_dequantize_f32_ref, fast: reft_dequantize_f32_avx2),
    Kernel(type: .f16, reference: reft_dequantize_f16_ref, fast: reft_dequantize_f16_avx2),
    Kernel(type: .bf16, reference: reft_dequantize_bf16_ref, fast: reft_dequantize_bf16_avx2),
    Kernel(type: .q4_0, reference: reft_dequantize_q4_0_ref, fast: reft_dequantize_q4_0_avx2),
    Kernel(type: .q4_1, reference: reft_dequantize_q4_1_ref, fast: reft_dequantize_q4_1_avx2),
    Kernel(type: .q5_0, reference: reft_dequantize_q5_0_ref, fast: reft_dequantize_q5_0_avx2),
    Kernel(type: .q5_1, reference: reft_dequantize_q5_1_ref, fast: reft_dequantize_q5_1_avx2),
    Kernel(type: .q8_0, reference: reft_dequantize_q8_0_ref, fast: reft_dequantize_q8_0_avx2),
    Kernel(type: .q2_K, reference: reft_dequantize_q2_k_ref, fast: reft_dequantize_q2_k_avx2),
    Kernel(type: .q3_K, reference: reft_dequantize_q3_k_ref, fast: reft_dequantize_q3_k_avx2),
    Kernel(type: .q4_K, reference: reft_dequantize_q4_k_ref, fast: reft_dequantize_q4_k_avx2),
    Kernel(type: .q5_K, reference: reft_dequantize_q5_k_ref, fast: reft_dequantize_q5_k_avx2),
    Kernel(type: .q6_K, reference: reft_dequantize_q6_k_ref, fast: reft_dequantize_q6_k_avx2),
    Kernel(type: .iq4_nl, reference: reft_dequantize_iq4_nl_ref, fast: reft_dequantize_iq4_nl_avx2),
    Kernel(type: .iq4_xs, reference: reft_dequantize_iq4_xs_ref, fast: reft_dequantize_iq4_xs_avx2),
  ]

  @Test("the table of this test has every format")
  func complete() {
    #expect(Self.kernels.map(\.type) == TensorType.allCases.sorted { $0.order < $1.order })
  }

  @Test(
    "random blocks of every count and misalignment give the reference's bits, and nothing beyond",
    .enabled(if: reft_kernels_use_avx2() != 0, "needs AVX2, and REFT_KERNELS not 'ref'"),
    arguments: kernels
  )
  func agree(kernel: Kernel) {
    var random = SeededGenerator(seed: 11)
    let blocks =
      kernel.type.blockSize == 1 ? [0, 1, 7, 8, 9, 15, 16, 17, 31, 64] : [0, 1, 2, 3, 7]
    for count in blocks.map({ $0 * kernel.type.blockSize }) {
      for shift in [0, 1, 2, 5] {
        let bytes = random.bytes(shift + kernel.type.byteCount(elements: count))
        let expected = run(kernel.reference, bytes, shift, count)
        let actual = run(kernel.fast, bytes, shift, count)
        for index in 0..<count + Self.margin {
          let (a, b) = (actual[index], expected[index])
          // Random bytes make NaN scales too; which NaN comes out is not promised.
          guard a.bitPattern == b.bitPattern || a.isNaN && b.isNaN else {
            Issue.record("\(kernel.type), \(count) at +\(shift): [\(index)] is \(a), not \(b)")
            return
          }
        }
      }
    }
  }

  @Test("the dispatcher's table knows the formats of the file format, and no others")
  func table() {
    for number in UInt32(0)..<64 {
      #expect((reft_dequantize_kernel(number) != nil) == (TensorType(rawValue: number) != nil))
    }
  }

  private static let margin = 9

  /// The output, and what is around it: a margin of one fixed value that must survive.
  private func run(
    _ function: Kernel.Function,
    _ bytes: [UInt8],
    _ shift: Int,
    _ count: Int
  ) -> [Float] {
    // An odd start of the output too.
    var out = [Float](repeating: 12345, count: count + Self.margin + 1)
    out.withUnsafeMutableBufferPointer { out in
      bytes.withUnsafeBytes { bytes in
        guard let source = bytes.baseAddress, let start = out.baseAddress else { return }
        function(source + shift, start + 1, count)
      }
    }
    #expect(out[0] == 12345)
    return Array(out[1...])
  }
}

extension TensorType {
  fileprivate var order: Int {
    switch self {
    case .f32, .f16: Int(rawValue)
    case .bf16: 2
    default: Int(rawValue) + 3
    }
  }
}

#endif
