// SPDX-License-Identifier: Apache-2.0
// The optimised kernels against their references. Which kernels run is a switch of the process, so
// these tests throw it in processes of their own, away from tests that compare bits.

import CReFTKernels
import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Kernels")
struct KernelTests {
  @Test(
    "every optimised kernel agrees with its reference, for all tails and misaligned",
    .enabled(if: Processor.hasAVX2, "the processor has the reference kernels only"),
    arguments: KernelCase.Family.allCases
  )
  func agree(family: KernelCase.Family) async {
    await #expect(processExitsWith: .success) { [family] in
      reft_kernels_select(1)
      #expect(reft_kernels_use_avx2() != 0, "the processor has AVX2 and its kernels are not used")
      let cases: [KernelCase] =
        switch family {
        case .products: KernelCase.products
        case .rows: KernelCase.rows
        case .activations: KernelCase.activations
        case .softmax: KernelCase.softmax
        case .decode:
          KernelCase.decode + KernelCase.repacked + KernelCase.values + KernelCase.plainRows
            + KernelCase.roundedRows
        case .attention: KernelCase.attention
        }
      for item in cases { item.compare() }
    }
  }

  @Test("a row of a product has the same bits alone and among others")
  func rowsAreIndependent() {
    var random = SeededGenerator(seed: 3)
    let (m, columns, kc) = (13, 37, 45)
    let a = random.normals(m * kc)
    let panels = random.normals((columns + 15) / 16 * kc * 16)
    var together = [Float](repeating: 0, count: m * columns)
    reft_gemm_packed_f32(m, columns, kc, a, kc, panels, kc * 16, &together, columns, 0)
    for row in 0..<m {
      let one = Array(a[row * kc..<(row + 1) * kc])
      var alone = [Float](repeating: 0, count: columns)
      reft_gemm_packed_f32(1, columns, kc, one, kc, panels, kc * 16, &alone, columns, 0)
      expectIdentical(alone, together[row * columns..<(row + 1) * columns], "row \(row)")
    }
  }

  @Test("a product with weights as they lie in the file has the bits of the expanded ones")
  func plainRows() {
    var random = SeededGenerator(seed: 8)
    let (n, rows, columns) = (3, 5, 75)
    let x = random.normals(n * columns)
    for type in [TensorType.f32, .f16, .bf16] {
      let data = Quantizer.encode(random.normals(rows * columns), as: type)
      var expanded = [Float](repeating: 0, count: rows * columns)
      var y = [Float](repeating: .nan, count: n * rows)
      data.withUnsafeBytes { bytes in
        guard let start = bytes.baseAddress else { return }
        type.dequantize(start, count: rows * columns, into: &expanded)
      }
      KernelCase.withPlainRows(type, data, rows: rows, columns: columns) { weights in
        reft_plain_rows_dot(&weights, n, x, columns, &y, rows, 0)
      }
      let dots = (0..<n * rows).map { index in
        let row = Array(expanded[index % rows * columns..<(index % rows + 1) * columns])
        return reft_dot_f32(
          columns,
          row,
          Array(x[index / rows * columns..<(index / rows + 1) * columns])
        )
      }
      expectIdentical(y, dots, "\(type)")
    }
  }

  @Test("not-a-number goes in and comes out, in reference and optimised kernels", arguments: 0...2)
  func notANumber(level: Int) async {
    await #expect(processExitsWith: .success) { [level] in
      reft_kernels_select(Int32(level))
      let input: [Float] = [1, -2, .nan, 0.5, 1, 2, 3, 4, .nan]
      let ones = [Float](repeating: 1, count: 9)
      func expectSpread(_ values: [Float], _ name: String) {
        #expect(values.map(\.isNaN) == input.map(\.isNaN), "\(name)")
      }
      var out = ones
      reft_silu_f32(9, input, &out)
      expectSpread(out, "silu")
      reft_swiglu_f32(9, input, ones, &out)
      expectSpread(out, "swiglu")
      reft_silu_backward_f32(9, input, ones, &out)
      expectSpread(out, "silu_backward")
      out = input
      reft_exp_scores_f32(9, 9, 1, 0, &out)
      expectSpread(out, "exp_scores")
      out = input
      #expect(reft_exp_sum_f32(9, 0, &out).isNaN)
      expectSpread(out, "exp_sum")
      out = input
      var logSumExp: Float = 0
      _ = reft_softmax_f32(9, 9, 1, &out, &logSumExp)
      #expect(logSumExp.isNaN && out.allSatisfy(\.isNaN), "softmax")
      for value in [Float.nan, .infinity, -.infinity] {
        var random = SeededGenerator(seed: 1)
        let weights = DecodeWeights(.q4_1, columns: 64, rows: 8, &random)
        var rows = random.normals(2 * 64)
        rows[64 + 37] = value
        let activations = DecodeActivations(rows, n: 2, columns: 64, stride: 64)
        var raw = activations.raw
        var y = [Float](repeating: 0, count: 16)
        withExtendedLifetime(activations) {
          reft_rows16_dot(weights.layout, weights.groups, &raw, 8, &y, 8)
        }
        #expect(y.map(\.isNaN) == (0..<16).map { $0 >= 8 }, "rows16_dot of \(value)")
        var numbers = random.normals(16 * 64)
        numbers[7 * 64 + 50] = value
        for type in [TensorType.f16, .bf16] {
          let data = Quantizer.encode(numbers, as: type)
          let finite = DecodeActivations(
            random.normals(2 * 64),
            n: 2,
            columns: 64,
            stride: 64,
            digits: 2,
            codeBytes: 2
          )
          var raw = finite.raw
          var y = [Float](repeating: 0, count: 32)
          withExtendedLifetime(finite) {
            KernelCase.roundedDot(type, data, offset: 0, rows: 16, &raw, into: &y, stride: 16)
          }
          #expect(y.indices.allSatisfy { y[$0].isNaN == ($0 % 16 == 7) }, "\(type) with \(value)")
        }
      }
    }
  }

  @Test(
    "a key or value that is not finite spoils what sees it, and nothing before",
    arguments: 0...2
  )
  func notFiniteInCache(level: Int) async {
    await #expect(processExitsWith: .success) { [level] in
      reft_kernels_select(Int32(level))
      for value in [Float.nan, .infinity, -.infinity] {
        for place in 0...1 {
          var random = SeededGenerator(seed: 1)
          let count = 40
          var rows = [random.normals(count * 32), random.normals(count * 32)]
          rows[place][20 * 32 + 7] = value
          let bytes = [
            64 * reft_cache_key_bytes(REFT_CACHE_INT8, 32),
            64 * reft_cache_value_bytes(REFT_CACHE_INT8, 32),
          ]
          // What a page holds before is anything: here not-a-number everywhere.
          var keys = [UInt8](repeating: 255, count: bytes[0])
          var values = [UInt8](repeating: 255, count: bytes[1])
          reft_cache_store(REFT_CACHE_INT8, 32, 0, count, rows[0], rows[1], 32, &keys, &values)
          let query = random.normals(32)
          var scratch = [Float](repeating: .nan, count: reft_attend_scratch(32, count))
          for (seen, isSpoilt) in [(20, false), (21, true), (count, true)] {
            var out = [Float](repeating: 0, count: 34)
            reft_attend(
              REFT_CACHE_INT8,
              1,
              32,
              0,
              seen,
              1,
              0,
              query,
              keys,
              values,
              keys,
              &scratch,
              &out
            )
            #expect(out.contains(where: \.isNaN) == isSpoilt, "\(seen) keys, \(value) in \(place)")
          }
        }
      }
    }
  }
}

/// What the system says of the processor, whatever the kernels make of it.
enum Processor {
  /// Whether it has what the kernels for AVX2 ask for.
  static let hasAVX2: Bool = {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("flags") } ?? ""
    return Set(line.split(separator: " ")).isSuperset(of: ["avx2", "fma", "f16c"])
  }()
}
