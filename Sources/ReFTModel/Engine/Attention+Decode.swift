// SPDX-License-Identifier: Apache-2.0
// Attention of decoded tokens: one row of each sequence against its cache, in runs of keys at fixed
// places that threads share and that are joined in order.

import CReFTKernels
import Foundation
import ReFTTensor

extension Attention {
  /// Keys of one run.
  private static let decodeRun = 256

  /// The runs of one sequence's keys, for one key-value head.
  private struct Run {
    var span: RowSpan
    var cache: KVCache
    var head: Int
    var firstKey: Int
    var keyCount: Int
  }

  /// out[row] = softmax(q Kᵀ / √headSize) V for spans of one row whose keys are in caches.
  func forward(
    decoded spans: [RowSpan],
    block: Int,
    rows: UnsafePointer<Float>,
    out: UnsafeMutablePointer<Float>
  ) {
    var runs: [Run] = []
    for span in spans {
      guard case .cache(let cache, let past) = span.keys else { continue }
      for head in 0..<keyValueHeads {
        for first in stride(from: 0, through: past, by: Self.decodeRun) {
          let count = min(Self.decodeRun, past + 1 - first)
          runs.append(
            Run(span: span, cache: cache, head: head, firstKey: first, keyCount: count)
          )
        }
      }
    }
    let width = group * (headSize + 2)
    let parts = ThreadScratch.floats(runs.count * width, slot: 7)
    pool.run(runs.count) { index in
      let run = runs[index]
      reft_attend_f32(
        group,
        headSize,
        run.keyCount,
        scale,
        rows + run.span.start * rowWidth + run.head * group * headSize,
        run.cache.keys(block: block, head: run.head) + run.firstKey * headSize,
        run.cache.values(block: block, head: run.head) + run.firstKey * headSize,
        ThreadScratch.floats(3 * Self.decodeRun, slot: 4),
        parts + index * width
      )
    }
    var first = 0
    while first < runs.count {
      let run = runs[first]
      let count = (run.span.past + Self.decodeRun) / Self.decodeRun
      for member in 0..<group {
        let target = out + run.span.start * queryWidth + (run.head * group + member) * headSize
        join(parts + first * width + member * (headSize + 2), count: count, stride: width, target)
      }
      first += count
    }
  }

  /// Joins the parts of one query: Σ e^(mᵢ−m) oᵢ / Σ e^(mᵢ−m) sᵢ.
  private func join(
    _ parts: UnsafePointer<Float>,
    count: Int,
    stride: Int,
    _ out: UnsafeMutablePointer<Float>
  ) {
    var largest = -Float.infinity
    for index in 0..<count { largest = max(largest, parts[index * stride + headSize]) }
    var sum: Float = 0
    out.update(repeating: 0, count: headSize)
    for index in 0..<count {
      let part = parts + index * stride
      let factor = exp(part[headSize] - largest)
      sum += factor * part[headSize + 1]
      reft_axpy_f32(headSize, factor, part, out)
    }
    reft_scale_f32(headSize, 1 / sum, out)
  }
}
