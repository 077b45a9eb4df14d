// SPDX-License-Identifier: Apache-2.0
// Products of split numbers: tiles against the portable loops, to the bit, and both against float64.

import CReFTKernels
import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Split products", .serialized)
struct SplitKernelTests {
  /// One product C (+)= A B, and what goes into it.
  private struct Product {
    let (m, n, k): (Int, Int, Int)
    let a: [Float]
    /// Bᵀ, [n, k].
    let b: [Float]
    let c: [Float]

    init(_ m: Int, _ n: Int, _ k: Int, seed: UInt64) {
      var random = SeededGenerator(seed: seed)
      (self.m, self.n, self.k) = (m, n, k)
      a = random.normals(m * k)
      b = random.normals(n * k)
      c = random.normals(m * n)
    }

    private var groupBytes: Int { k / 32 * Int(REFT_SPLIT_TILE) }

    var left: [UInt8] {
      var tiles = [UInt8](repeating: 1, count: (m + 15) / 16 * groupBytes)
      for row in stride(from: 0, to: m, by: 16) {
        tiles.withUnsafeMutableBufferPointer { tiles in
          a.withUnsafeBufferPointer { a in
            guard let tiles = tiles.baseAddress, let a = a.baseAddress else { return }
            reft_split_left(k, min(16, m - row), a + row * k, k, tiles + row / 16 * groupBytes)
          }
        }
      }
      return tiles
    }

    /// The tiles of B, from its columns or from pairs of its rows.
    func right(byPairs: Bool) -> [UInt8] {
      let panels = (n + 15) / 16
      var tiles = [UInt8](repeating: 1, count: panels * groupBytes)
      tiles.withUnsafeMutableBufferPointer { tiles in
        guard let tiles = tiles.baseAddress else { return }
        if byPairs {
          for row in stride(from: 0, to: k, by: 2) {
            let rows = (row...row + 1).map { row in
              (0..<panels * 16).map { $0 < n ? b[$0 * k + row] : 0 }
            }
            let place = row / 32 * Int(REFT_SPLIT_TILE) + row % 32 / 2 * 64
            reft_split_pair(panels * 16, rows[0], rows[1], tiles + place, groupBytes)
          }
        } else {
          b.withUnsafeBufferPointer { b in
            guard let b = b.baseAddress else { return }
            for column in stride(from: 0, to: n, by: 16) {
              let target = tiles + column / 16 * groupBytes
              reft_split_columns(k, min(16, n - column), b + column * k, k, target)
            }
          }
        }
      }
      return tiles
    }

    func result(accumulate: Bool, byPairs: Bool = false, halves: Int32 = 2) -> [Float] {
      var out = c
      let (left, right) = (left, right(byPairs: byPairs))
      reft_gemm_split(
        m,
        n,
        k / 32,
        left,
        groupBytes,
        right,
        groupBytes,
        halves,
        &out,
        n,
        accumulate ? 1 : 0
      )
      return out
    }
  }

  private static let sizes = [
    (1, 1, 32), (16, 16, 32), (15, 33, 64), (17, 31, 96), (32, 32, 320), (37, 50, 96), (48, 16, 64),
  ]

  @Test(
    "tiles give the bits of the portable loops, for whole and partial tiles",
    .enabled(if: reft_kernels_use_tiles() != 0, "this processor has no matrix tiles")
  )
  func equalBits() async {
    await #expect(processExitsWith: .success) {
      for (number, size) in Self.sizes.enumerated() {
        let product = Product(size.0, size.1, size.2, seed: UInt64(number))
        for (accumulate, halves) in [(false, Int32(2)), (true, 2), (false, 1), (true, 1)] {
          reft_kernels_select(0)
          let expected = (product.left, product.right(byPairs: false))
          let sums = product.result(accumulate: accumulate, halves: halves)
          reft_kernels_select(1)
          #expect(reft_kernels_use_tiles() != 0)
          #expect(product.left == expected.0, "left of \(size)")
          #expect(product.right(byPairs: false) == expected.1, "right of \(size)")
          #expect(product.right(byPairs: true) == expected.1, "right by pairs of \(size)")
          let found = product.result(accumulate: accumulate, halves: halves)
          expectIdentical(found, sums, "\(size), halves: \(halves)")
        }
      }
    }
  }

  private static func split(_ weights: DecodeWeights, block: Int, count: Int) -> [UInt8] {
    var tiles = [UInt8](repeating: 1, count: count * Int(REFT_SPLIT_TILE))
    reft_split_rows16(weights.layout, weights.groups, block, count, &tiles)
    return tiles
  }

  @Test("repacked rows become the tiles of their numbers", arguments: DecodeWeights.types)
  func repackedRows(_ type: TensorType) async {
    await #expect(processExitsWith: .success) { [name = "\(type)"] in
      let type = try #require(DecodeWeights.types.first { "\($0)" == name })
      var random = SeededGenerator(seed: 5)
      let weights = DecodeWeights(type, columns: 256, rows: 16, &random)
      for (block, count) in [(0, 8), (3, 1), (5, 3)] {
        reft_kernels_select(0)
        var values = [Float](repeating: 0, count: 512 * count)
        reft_rows16_values(weights.layout, weights.groups, block, count, &values)
        var expected = [UInt8](repeating: 1, count: count * Int(REFT_SPLIT_TILE))
        for row in stride(from: 0, to: 32 * count, by: 2) {
          let pair = (0..<2).map { Array(values[(row + $0) * 16..<(row + $0 + 1) * 16]) }
          let place = row / 32 * Int(REFT_SPLIT_TILE) + row % 32 / 2 * 64
          expected.withUnsafeMutableBufferPointer { tiles in
            if let base = tiles.baseAddress {
              reft_split_pair(16, pair[0], pair[1], base + place, 0)
            }
          }
        }
        let portable = Self.split(weights, block: block, count: count)
        reft_kernels_select(1)
        let fast = Self.split(weights, block: block, count: count)
        #expect(portable == expected, "\(name), portable")
        #expect(fast == expected, "\(name)")
      }
    }
  }

  @Test(
    "a sum loses less than 2^-15 of its products' magnitudes, of high parts less than 2^-7",
    arguments: [(Int32(2), 0x1p-15), (1, 0x1p-7)]
  )
  func precision(halves: Int32, allowed: Double) {
    for (number, size) in Self.sizes.enumerated() {
      let product = Product(size.0, size.1, size.2, seed: UInt64(10 + number))
      let sums = product.result(accumulate: false, byPairs: number % 2 == 1, halves: halves)
      for row in 0..<product.m {
        for column in 0..<product.n {
          var (exact, magnitude) = (0.0, 0.0)
          for index in 0..<product.k {
            let term =
              Double(product.a[row * product.k + index])
              * Double(product.b[column * product.k + index])
            exact += term
            magnitude += abs(term)
          }
          let error = abs(Double(sums[row * product.n + column]) - exact)
          #expect(error <= magnitude * allowed, "\(size), row \(row), column \(column)")
        }
      }
    }
  }

  /// A row's weights, put together again, with its largest score, its sum and the last factor.
  private static func weights(
    _ scores: [Float],
    _ parts: [Range<Int>],
    scale: Float
  ) -> (weights: [Float], largest: Float, sum: Float, factor: Float) {
    var (largest, sum, factor) = (-Float.infinity, Float(0), Float(1))
    var tiles = [UInt8](repeating: 1, count: scores.count / 32 * Int(REFT_SPLIT_TILE))
    for part in parts {
      factor = reft_split_weights(
        scores.count,
        part.lowerBound,
        part.upperBound,
        scale,
        scores,
        &largest,
        &sum,
        &tiles
      )
    }
    let weights = scores.indices.map { index in
      let place = index / 32 * Int(REFT_SPLIT_TILE) + index % 32 * 2
      return [0, 1024].reduce(Float(0)) { sum, half in
        let bits = UInt32(tiles[place + half]) | UInt32(tiles[place + half + 1]) << 8
        return sum + Float(bitPattern: bits << 16)
      }
    }
    return (weights, largest, sum, factor)
  }

  @Test(
    "weights of a run are powers of two under the largest score so far, and zero where nobody looks",
    arguments: [[0..<96], [5..<40], [17..<18, 60..<96], [40..<96, 3..<33], [0..<96, 0..<0]]
  )
  func attentionWeights(parts: [Range<Int>]) {
    var random = SeededGenerator(seed: 6)
    let scores = random.normals(96, scale: 20)
    let scale: Float = 0.37
    let found = Self.weights(scores, parts, scale: scale)
    let largest = parts.joined().map { scores[$0] * scale }.max() ?? 0
    let last = parts.last ?? 0..<0
    let before = parts.dropLast().joined().map { scores[$0] * scale }.max()
    #expect(found.largest == largest)
    for (index, weight) in found.weights.enumerated() {
      let exact = last.contains(index) ? exp2(Double(scores[index] * scale - largest)) : 0
      #expect(abs(Double(weight) - exact) <= 2e-5 * exact, "key \(index)")
    }
    let sum = parts.joined().reduce(0.0) { $0 + exp2(Double(scores[$1] * scale - largest)) }
    #expect(abs(Double(found.sum) - sum) < 1e-5 * sum)
    let factor = before.map { exp2(Double($0 - largest)) } ?? 0
    #expect(abs(Double(found.factor) - factor) < 1e-6)
  }

  @Test("a row has the same bits alone and among others")
  func rowsAreIndependent() {
    let product = Product(21, 40, 96, seed: 3)
    let together = product.result(accumulate: false)
    for row in 0..<product.m {
      let one = Array(product.a[row * product.k..<(row + 1) * product.k])
      var alone = [Float](repeating: 0, count: product.n)
      var left = [UInt8](repeating: 0, count: product.k / 32 * Int(REFT_SPLIT_TILE))
      reft_split_left(product.k, 1, one, product.k, &left)
      let right = product.right(byPairs: false)
      reft_gemm_split(
        1,
        product.n,
        product.k / 32,
        left,
        left.count,
        right,
        left.count,
        2,
        &alone,
        product.n,
        0
      )
      expectIdentical(
        alone,
        together[row * product.n..<(row + 1) * product.n],
        "row \(row)"
      )
    }
  }
}
