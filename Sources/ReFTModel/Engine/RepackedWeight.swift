// SPDX-License-Identifier: Apache-2.0
// Weights for decoding: eight rows interleaved, products with int8 activations. Made once, when the
// first token is decoded.

import CReFTKernels
import Foundation
import ReFTTensor
import Synchronization

/// A stacked weight in the layouts of reft_decode.h.
final class RepackedWeight: @unchecked Sendable {
  // Sendable: written by `init` alone.

  private struct Part {
    var firstRow: Int
    var rows: Int
    var layout: UInt32
    var groupBytes: Int
    var data: UnsafeMutablePointer<UInt8>
  }

  private let parts: [Part]
  private let columns: Int
  private let storage: FloatBuffer
  /// The part and the rows of each task.
  private let tasks: [(part: Int, rows: Range<Int>)]

  /// Rows of a group.
  private static let groupRows = 8
  /// Bytes of weights that one task reads, about.
  private static let taskBytes = 64 << 10

  /// Repacks a weight; nil when one of its parts has no layout for int8 products.
  init?(_ weight: StackedWeight, pool: ThreadPool) {
    columns = weight.columns
    guard weight.columns % Int(REFT_DECODE_BLOCK) == 0 else { return nil }
    var byteCount = 0
    var plan: [(layout: UInt32, groupBytes: Int, offset: Int)] = []
    for part in weight.parts {
      let layout = reft_rows8_layout(part.type.rawValue)
      guard layout != 0 else { return nil }
      let blocks = weight.columns / Int(REFT_DECODE_BLOCK)
      let groupBytes = blocks * reft_rows8_block_bytes(layout)
      plan.append((layout, groupBytes, byteCount))
      byteCount += (part.rows + Self.groupRows - 1) / Self.groupRows * groupBytes
      byteCount = (byteCount + 63) & ~63
    }
    storage = FloatBuffer(count: (byteCount + 3) / 4, isStreamed: true)
    let base = UnsafeMutableRawPointer(storage.base).assumingMemoryBound(to: UInt8.self)
    var parts: [Part] = []
    var firstRow = 0
    for (part, plan) in zip(weight.parts, plan) {
      parts.append(
        Part(
          firstRow: firstRow,
          rows: part.rows,
          layout: plan.layout,
          groupBytes: plan.groupBytes,
          data: base + plan.offset
        )
      )
      firstRow += part.rows
    }
    self.parts = parts
    tasks = parts.enumerated().flatMap { index, part in
      let rows = max(1, Self.taskBytes / part.groupBytes) * Self.groupRows
      return stride(from: 0, to: part.rows, by: rows).map {
        (index, $0..<min(part.rows, $0 + rows))
      }
    }
    for (source, part) in zip(weight.parts, parts) {
      let groups = (part.rows + Self.groupRows - 1) / Self.groupRows
      pool.run((groups + 15) / 16) { task in
        for group in task * 16..<min(groups, task * 16 + 16) {
          let rows = (0..<Self.groupRows).map { offset -> UnsafeRawPointer? in
            let row = group * Self.groupRows + offset
            return row < part.rows ? source.address(row: row) : nil
          }
          reft_rows8_repack(
            source.type.rawValue,
            self.columns,
            rows,
            part.data + group * part.groupBytes
          )
        }
      }
    }
  }

  /// y[n, rows] (+)= x[n, columns] Wᵀ with x rounded to int8 digits, a scale for every 32 columns
  /// of each.
  func multiply(
    rows n: Int,
    x: UnsafePointer<Float>,
    xStride: Int,
    digits: Int,
    y: UnsafeMutablePointer<Float>,
    yStride: Int,
    accumulate: Bool,
    pool: ThreadPool
  ) {
    let activations = quantize(rows: n, x: x, xStride: xStride, digits: digits)
    pool.run(tasks.count) { task in
      let part = parts[tasks[task].part]
      let rows = tasks[task].rows
      var activations = activations
      let target = y + part.firstRow + rows.lowerBound
      let data = part.data + rows.lowerBound / Self.groupRows * part.groupBytes
      guard accumulate else {
        reft_rows8_dot(part.layout, data, &activations, rows.count, target, yStride)
        return
      }
      let sums = ThreadScratch.floats(n * rows.count, slot: 0)
      reft_rows8_dot(part.layout, data, &activations, rows.count, sums, rows.count)
      for i in 0..<n { reft_axpy_f32(rows.count, 1, sums + i * rows.count, target + i * yStride) }
    }
  }

  /// Rounds rows of x; the memory is the calling thread's, valid until its next call.
  private func quantize(
    rows n: Int,
    x: UnsafePointer<Float>,
    xStride: Int,
    digits: Int
  ) -> reft_activations_t {
    let blocks = columns / Int(REFT_DECODE_BLOCK)
    let bytes = n * digits * columns
    let memory = ThreadScratch.floats(bytes / 4 + 4 * n * blocks, slot: 6)
    let scales = memory + bytes / 4
    let raw = UnsafeMutableRawPointer(memory)
    var activations = reft_activations_t(
      n: n,
      digits: digits,
      columns: columns,
      q: raw.assumingMemoryBound(to: Int8.self),
      scale: scales,
      sum: scales + n * blocks,
      counts: UnsafeMutableRawPointer(scales + 2 * n * blocks).assumingMemoryBound(to: Int32.self)
    )
    reft_quantize_rows(x, xStride, &activations)
    return activations
  }
}

/// Makes a repacked weight when it is first asked for.
final class LazyRepackedWeight: Sendable {
  private enum State {
    case unknown
    case known(RepackedWeight?)
  }
  private let state = Mutex<State>(.unknown)

  func value(of weight: StackedWeight, pool: ThreadPool) -> RepackedWeight? {
    state.withLock { state in
      if case .known(let value) = state { return value }
      let value = RepackedWeight(weight, pool: pool)
      state = .known(value)
      return value
    }
  }
}
