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
  /// The part and the first group of each task.
  private let tasks: [(part: Int, group: Int)]

  /// Rows of a group.
  private static let groupRows = 8
  /// Groups that one task computes.
  private static let taskGroups = 4

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
    storage = FloatBuffer(count: (byteCount + 3) / 4)
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
      let groups = (part.rows + Self.groupRows - 1) / Self.groupRows
      return stride(from: 0, to: groups, by: Self.taskGroups).map { (index, $0) }
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

  /// y[n, rows] (+)= x[n, columns] Wᵀ with x rounded to int8, one scale for every 32 columns.
  func multiply(
    rows n: Int,
    x: UnsafePointer<Float>,
    xStride: Int,
    y: UnsafeMutablePointer<Float>,
    yStride: Int,
    accumulate: Bool,
    pool: ThreadPool
  ) {
    let activations = quantize(rows: n, x: x, xStride: xStride)
    pool.run(tasks.count) { task in
      let part = parts[tasks[task].part]
      var activations = activations
      let sums = ThreadScratch.floats(n * Self.groupRows, slot: 0)
      for group in tasks[task].group..<tasks[task].group + Self.taskGroups {
        let row = group * Self.groupRows
        let count = min(Self.groupRows, part.rows - row)
        guard count > 0 else { break }
        let target = y + part.firstRow + row
        let data = part.data + group * part.groupBytes
        if accumulate {
          reft_rows8_dot(part.layout, data, &activations, count, sums, Self.groupRows)
          for i in 0..<n {
            for j in 0..<count { target[i * yStride + j] += sums[i * Self.groupRows + j] }
          }
        } else {
          reft_rows8_dot(part.layout, data, &activations, count, target, yStride)
        }
      }
    }
  }

  /// Rounds rows of x; the memory is the calling thread's, valid until its next call.
  private func quantize(
    rows n: Int,
    x: UnsafePointer<Float>,
    xStride: Int
  ) -> reft_activations_t {
    let blocks = columns / Int(REFT_DECODE_BLOCK)
    let memory = ThreadScratch.floats(n * (columns / 4 + 4 * blocks), slot: 6)
    let scales = memory + n * columns / 4
    let raw = UnsafeMutableRawPointer(memory)
    var activations = reft_activations_t(
      n: n,
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
