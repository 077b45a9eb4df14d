// SPDX-License-Identifier: Apache-2.0
// What this machine can do at most, measured now: the yardstick of `reft bench`.

import CReFTKernels
import Foundation
public import ReFTTensor

extension Machine {
  /// The measured limits of a machine.
  public struct Peaks: Sendable {
    /// Floating-point operations per second of the matrix kernel on operands in cache, all threads.
    public var flops: Double
    /// Bytes per second that all threads together read from main memory.
    public var bytesPerSecond: Double

    /// Limits measured elsewhere, such as on a card.
    public init(flops: Double, bytesPerSecond: Double) {
      (self.flops, self.bytesPerSecond) = (flops, bytesPerSecond)
    }
  }

  /// Measures both limits, best of several short runs; takes about a second.
  public static func measurePeaks(pool: ThreadPool = .shared) -> Peaks {
    Peaks(flops: measureProducts(pool), bytesPerSecond: measureReading(pool))
  }

  /// The best rate of `work` per second over runs of some milliseconds each.
  private static func best(of runs: Int, work: Double, _ body: () -> Void) -> Double {
    var fastest = Double.infinity
    for _ in 0..<runs {
      let start = DispatchTime.now().uptimeNanoseconds
      body()
      let seconds = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
      fastest = min(fastest, seconds)
    }
    return work / max(fastest, 1e-9)
  }

  private static func measureProducts(_ pool: ThreadPool) -> Double {
    // The block sizes of the engine's own products: 192 rows, panels of 96 × 320.
    let (m, n, k, repeats) = (192, 96, 320, 40)
    let operands = (0..<pool.threadCount).map { _ in
      (a: FloatBuffer(count: m * k), b: FloatBuffer(count: n * k), c: FloatBuffer(count: m * n))
    }
    let work = 2.0 * Double(m * n * k * repeats * pool.threadCount)
    return best(of: 12, work: work) {
      pool.run(pool.threadCount) { thread in
        let (a, b, c) = operands[thread]
        for _ in 0..<repeats {
          reft_gemm_packed_f32(m, n, k, a.base, k, b.base, 16 * k, c.base, n, 0)
        }
      }
    }
  }

  private static func measureReading(_ pool: ThreadPool) -> Double {
    // 256 MiB are more than any cache of the machines at hand holds.
    let count = 64 << 20
    let memory = FloatBuffer(count: count)
    let part = count / pool.threadCount
    // Untouched memory is one page of zeros, which stays in the cache.
    pool.run(pool.threadCount) { thread in
      (memory.base + thread * part).update(repeating: 1, count: part)
    }
    return best(of: 6, work: Double(part * pool.threadCount * 4)) {
      pool.run(pool.threadCount) { thread in
        _ = reft_max_f32(part, memory.base + thread * part)
      }
    }
  }
}
