// SPDX-License-Identifier: Apache-2.0
// Attention of decoded tokens: one row of each sequence against its cache, in runs of keys at fixed
// places that threads share and that are joined in order.

import CReFTKernels
import Foundation
import ReFTTensor

extension Attention {
  /// Keys of one run: those of a page.
  private static let decodeRun = CachePages.tokenCount

  /// A run of one sequence's keys, for one key-value head.
  ///
  /// Pointers, since threads would fight over the reference counts of caches.
  private struct Run {
    var row: Int
    var head: Int
    var format: UInt32
    var keys: UnsafeMutableRawPointer
    var values: UnsafeMutableRawPointer
    /// Keys at its beginning that the row does not see.
    var skipped: Int
    var keyCount: Int
  }

  /// The runs of all sequences, and where those of each begin.
  private struct Runs {
    var runs: [Run] = []
    var firsts: [Int] = []
  }

  /// out[row] = softmax(scale q Kᵀ) V for spans of one row whose keys are in caches.
  ///
  /// - Parameters:
  ///   - spans: the sequences.
  ///   - block: whose caches to read.
  ///   - rows: queries, keys and values, [rows, rowWidth].
  ///   - out: takes [rows, queryWidth].
  ///   - storing: whether the rows' keys and values are still to go to the caches.
  ///   - pending: what is still to be done to a span's row before.
  ///   - pool: the threads to use.
  /// - Returns: what joins the parts of a span's row into `out`; to be called for each, on any
  ///   thread, before the calling thread comes here again.
  func forward(
    decoded spans: [RowSpan],
    block: Int,
    rows: UnsafePointer<Float>,
    out: UnsafeMutablePointer<Float>,
    storing: Bool = false,
    after pending: RowWork? = nil,
    pool: ThreadPool
  ) -> RowWork {
    let split = runs(of: spans, block: block)
    let (runs, firsts) = (split.runs, split.firsts)
    let width = group * (headSize + 2)
    let parts = ThreadScratch.floats(runs.count * width, .attentionParts)
    runs.withUnsafeBufferPointer { runs in
      let prepare = { (index: Int) in
        pending?(index)
        let count = (firsts[index + 1] - firsts[index]) / keyValueHeads
        for head in 0..<keyValueHeads {
          store(runs[firsts[index] + (head + 1) * count - 1], of: rows)
        }
      }
      let attend = { (index: Int) in
        let run = runs[index]
        reft_attend(
          run.format,
          group,
          headSize,
          run.skipped,
          run.keyCount,
          scale,
          softCap ?? 0,
          rows + run.row * rowWidth + run.head * group * headSize,
          run.keys,
          run.values,
          runs[min(index + 1, runs.count - 1)].keys,
          ThreadScratch.floats(reft_attend_scratch(headSize, Self.decodeRun), .scores),
          parts + index * width
        )
      }
      pool.run(preparing: storing ? spans.count : 0, prepare, then: runs.count, attend)
    }
    return { index in
      let count = (firsts[index + 1] - firsts[index]) / keyValueHeads
      let first = parts + firsts[index] * width
      let target = out + runs[firsts[index]].row * queryWidth
      for head in 0..<heads {
        join(
          first + head / group * count * width + head % group * (headSize + 2),
          count: count,
          stride: width,
          target + head * headSize
        )
      }
    }
  }

  /// Appends a row's key and value to the last run of its head, whose last ones they are.
  private func store(_ run: Run, of rows: UnsafePointer<Float>) {
    let key = rows + run.row * rowWidth + queryWidth + run.head * headSize
    reft_cache_store(
      run.format,
      headSize,
      run.keyCount - 1,
      1,
      key,
      key + keyValueHeads * headSize,
      rowWidth,
      run.keys,
      run.values
    )
  }

  private func runs(of spans: [RowSpan], block: Int) -> Runs {
    var result = Runs()
    let panel = Int(REFT_CACHE_PANEL)
    for span in spans {
      result.firsts.append(result.runs.count)
      guard case .cache(let cache, let past) = span.keys else { continue }
      let firstKey = firstKey(at: past)
      let cached = cache.block(block)
      for head in 0..<keyValueHeads {
        var first = firstKey / panel * panel
        while first <= past {
          let end = min(past + 1, (first / Self.decodeRun + 1) * Self.decodeRun)
          let address = cached.address(head: head, position: first)
          result.runs.append(
            Run(
              row: span.start,
              head: head,
              format: cached.format,
              keys: address.keys,
              values: address.values,
              skipped: max(0, firstKey - first),
              keyCount: end - first
            )
          )
          first = end
        }
      }
    }
    result.firsts.append(result.runs.count)
    return result
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
