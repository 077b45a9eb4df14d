// SPDX-License-Identifier: Apache-2.0
// What repacked weights and rounded rows mean.

import CReFTKernels
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Decoding kernels")
struct DecodeKernelTests {
  @Test(
    "a repacked product is that of the expanded weights and the rounded rows",
    arguments: DecodeWeights.types
  )
  func meaning(type: TensorType) {
    var random = SeededGenerator(seed: 5)
    let (n, rows, columns) = (3, 7, 512)
    let weights = DecodeWeights(type, columns: columns, rows: rows, &random)
    let x = random.normals(n * columns)
    let activations = DecodeActivations(x, n: n, columns: columns, stride: columns)
    var y = [Float](repeating: .nan, count: n * rows)
    var raw = activations.raw
    reft_rows16_dot(weights.layout, weights.groups, &raw, rows, &y, rows)
    let values = activations.values
    var expected: [Float] = []
    for i in 0..<n {
      for row in weights.expanded {
        var sum = 0.0
        for j in 0..<columns { sum += Double(row[j]) * values[i * columns + j] }
        expected.append(Float(sum))
      }
    }
    // Scales of formats with blocks of 256 are products, rounded to 11 bits here: relative errors of up
    // to 2^-11. Q4_K and Q5_K have a minimum besides, and value = d q - m is the difference of two that
    // are some three times larger, each with such an error. In float32 the scales would take 128 of
    // 384 bytes of a block instead of 64 of 320: decoding, which runs at the speed of memory, would be a
    // fifth slower, for an error that is a fiftieth of that of the format's own four bits.
    let rounding = type.blockSize < 256 ? 1e-6 : [.q4_K, .q5_K].contains(type) ? 1.5e-3 : 5e-4
    expectCloseNorm(y, expected, relative: rounding, "\(type)")
    let error = zip(values, x).reduce(0) { max($0, abs($1.0 - Double($1.1))) }
    #expect(error <= Double(x.map { abs($0) }.max() ?? 0) / 127 / 2 * 1.001)
  }

  @Test(
    "repacked rows hold the numbers of the file, those of blocks of 256 to eleven bits of a scale",
    arguments: DecodeWeights.types
  )
  func values(type: TensorType) {
    var random = SeededGenerator(seed: 6)
    let (rows, columns) = (16, 512)
    let weights = DecodeWeights(type, columns: columns, rows: rows, &random)
    var columnwise = [Float](repeating: .nan, count: rows * columns)
    reft_rows16_values(weights.layout, weights.groups, 0, columns / 32, &columnwise)
    for row in 0..<rows {
      let found = (0..<columns).map { columnwise[$0 * rows + row] }
      if type.blockSize == 32 {
        #expect(found == weights.expanded[row], "\(type)")
      } else {
        expectCloseNorm(found, weights.expanded[row], relative: 1.5e-3, "\(type)")
      }
    }
  }

  @Test(
    "a row of activations has the same bits alone and among others",
    arguments: DecodeWeights.types,
    [1, 2]
  )
  func rowsAreIndependent(type: TensorType, digits: Int) {
    var random = SeededGenerator(seed: 7)
    // As many as a prompt has, and columns that are no whole runs of its kernels.
    let (n, rows, columns) = (39, 53, type.blockSize == 256 ? 512 : 320)
    let weights = DecodeWeights(type, columns: columns, rows: rows, &random)
    let x = random.normals(n * columns)
    func product(_ first: Int, _ count: Int) -> [Float] {
      let some = Array(x[first * columns..<(first + count) * columns])
      let activations = DecodeActivations(
        some,
        n: count,
        columns: columns,
        stride: columns,
        digits: digits
      )
      var raw = activations.raw
      var y = [Float](repeating: .nan, count: count * rows)
      withExtendedLifetime(activations) {
        reft_rows16_dot(weights.layout, weights.groups, &raw, rows, &y, rows)
      }
      return y
    }
    let together = product(0, n)
    for row in 0..<n {
      expectIdentical(
        product(row, 1),
        together[row * rows..<(row + 1) * rows],
        "\(type), row \(row)"
      )
    }
  }

  @Test(
    "sums of the largest codes fit, whatever width a kernel sums them in",
    arguments: DecodeWeights.types,
    [1, 2]
  )
  func largestCodes(type: TensorType, digits: Int) {
    let (n, rows, columns) = (37, 16, 256)
    // Every number of a row is its largest, of either sign.
    let x = (0..<n * columns).map { Float($0 / columns % 2 * 2 - 1) }
    let activations = DecodeActivations(x, n: n, columns: columns, stride: columns, digits: digits)
    for code: UInt8 in [0x00, 0x7f, 0x80, 0x81, 0xff] {
      let weights = DecodeWeights(type, columns: columns, rows: rows, code: code)
      for count in [1, 4, 5, n] {
        var raw = activations.raw
        raw.n = count
        var y = [Float](repeating: .nan, count: count * rows)
        withExtendedLifetime(activations) {
          reft_rows16_dot(weights.layout, weights.groups, &raw, rows, &y, rows)
        }
        let expected = (0..<count * rows).map { place -> Float in
          let sum = weights.expanded[place % rows].reduce(0.0) { $0 + Double($1) }
          return Float(sum * Double(x[place / rows * columns]))
        }
        // A minimum may take away most of what the rounded scales make.
        expectCloseNorm(
          y,
          expected,
          relative: type.blockSize == 32 ? 1e-6 : 2e-2,
          "\(type), codes \(code), \(count) rows"
        )
      }
    }
  }

  @Test("formats without a layout say so")
  func withoutLayout() {
    for type in TensorType.allCases where !DecodeWeights.types.contains(type) {
      #expect(reft_rows16_layout(type.rawValue) == 0, "\(type)")
    }
    #expect(reft_rows16_layout(.max) == 0)
  }
}
