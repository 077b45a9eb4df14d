// SPDX-License-Identifier: Apache-2.0
// Matrix products of a card against plain sums in double precision.

import ReFTCUDA
import ReFTTensor
import Testing
import _ReFTTestSupport

struct ProductTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var transposesWeight: Bool
    var input: NumberFormat
    var output: NumberFormat
    var accumulates: Bool
    var exact = false

    var testDescription: String {
      "\(transposesWeight ? "forward" : "backward"), \(input) to \(output)"
        + (accumulates ? ", added" : "") + (exact ? ", exact" : "")
    }

    static let all: [Case] = [true, false].flatMap { forward in
      [false, true].flatMap { adds in
        [
          Case(
            transposesWeight: forward,
            input: .float32,
            output: .float32,
            accumulates: adds,
            exact: true
          ),
          Case(transposesWeight: forward, input: .float32, output: .float32, accumulates: adds),
          Case(transposesWeight: forward, input: .bfloat16, output: .float32, accumulates: adds),
          Case(transposesWeight: forward, input: .bfloat16, output: .bfloat16, accumulates: adds),
        ]
      }
    }
  }

  private let rows = 7
  private let n = 13
  private let k = 19
  private let xStride = 24
  private let weightStride = 21
  private let yStride = 23

  @Test("products go forward and backward, in each format, added or not", arguments: Case.all)
  func product(_ test: Case) throws {
    let card = try EmulatedCard.open()
    var generator = SeededGenerator(seed: 5)
    func numbers(_ count: Int) -> [Float] {
      (0..<count).map { _ in float(bfloat16(Float.random(in: -1...1, using: &generator))) }
    }
    let x = numbers(rows * xStride)
    let weight = numbers(n * weightStride)
    let old = numbers(rows * yStride)
    let y = try upload(old, test.output, card)
    try card.gemm(
      GEMM(
        rows: rows,
        n: n,
        k: k,
        x: try upload(x, test.input, card).pointer,
        xStride: xStride,
        weight: try upload(weight, test.input, card).pointer,
        weightStride: weightStride,
        y: y.pointer,
        yStride: yStride,
        transposesWeight: test.transposesWeight,
        input: test.input,
        output: test.output,
        accumulates: test.accumulates,
        exact: test.exact
      )
    )
    let columns = test.transposesWeight ? n : k
    var expected = old
    for row in 0..<rows {
      for column in 0..<columns {
        var sum = test.accumulates ? Double(old[row * yStride + column]) : 0
        for inner in 0..<(test.transposesWeight ? k : n) {
          let w = test.transposesWeight ? (column, inner) : (inner, column)
          sum += Double(x[row * xStride + inner]) * Double(weight[w.0 * weightStride + w.1])
        }
        expected[row * yStride + column] = Float(sum)
      }
    }
    let isWide = test.output == .float32
    let actual =
      isWide
      ? try card.download(y, old.count, of: Float(0))
      : try card.download(y, old.count, of: UInt16(0)).map(float)
    expectClose(actual, expected, tolerance: 1e-5, relative: isWide ? 1e-6 : 1 / 256)
  }

  private func upload(
    _ values: [Float],
    _ format: NumberFormat,
    _ card: CUDADevice
  ) throws -> DeviceMemory {
    format == .float32 ? try card.upload(values) : try card.upload(values.map(bfloat16))
  }

  @Test("matrices beside their memory are refused, and the product is named")
  func beside() throws {
    let card = try EmulatedCard.open()
    let memory = try card.allocate(512, for: "a matrix")
    let product = GEMM(
      rows: 100,
      n: 10,
      k: 10,
      x: memory.pointer,
      weight: memory.pointer,
      y: memory.pointer,
      input: .float32,
      output: .float32
    )
    let text = message { try card.gemm(product) }
    #expect(text.contains("The card failed at the product [100, 10] × [10, 10]ᵀ"))
    #expect(text.contains("CUBLAS_STATUS_INVALID_VALUE (7)"))
  }

  @Test("peaks are measured with the card's own clock")
  func peaks() throws {
    let peaks = try EmulatedCard.open().measurePeaks(copyByteCount: 1 << 20, width: 64)
    for rate in [peaks.bytesPerSecond, peaks.bfloat16Flops, peaks.float32Flops] {
      #expect(rate > 1e6 && rate.isFinite)
    }
  }
}
