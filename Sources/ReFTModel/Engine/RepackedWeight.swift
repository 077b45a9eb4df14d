// SPDX-License-Identifier: Apache-2.0
// Weights with sixteen rows interleaved, for products with int8 activations. Made once, before the
// first token is decoded; what else reads the weight then reads it here.

import CReFTKernels
import Foundation
import ReFTTensor
import Synchronization

/// A stacked weight in the layouts of reft_decode.h.
final class RepackedWeight: @unchecked Sendable {
  // Sendable: written by `init` alone.

  /// Rows of one layout, for one piece of work.
  private struct Task {
    var firstRow: Int
    var rows: Int
    var layout: UInt32
    var data: UnsafePointer<UInt8>

    /// y[n, rows of the stack] (+)= x Wᵀ at the task's rows, for rounded rows x.
    func multiply(
      _ x: reft_activations_t,
      _ y: UnsafeMutablePointer<Float>,
      _ yStride: Int,
      accumulate: Bool
    ) {
      x.add(to: y + firstRow, stride: yStride, columns: rows, accumulate: accumulate) { y, stride in
        var x = x
        reft_rows16_dot(layout, data, &x, rows, y, stride)
      }
    }
  }

  /// One of the stacked weights.
  private struct Part {
    var rows: Int
    var layout: UInt32
    var groupBytes: Int
    var data: UnsafePointer<UInt8>
  }

  /// Whether panels of floats out of this layout are those out of the file: every number is the same,
  /// and sixteen rows of the stack are one group.
  let servesPanels: Bool
  /// Whether products with many rows at once are faster here than float32 ones.
  let servesPrompts: Bool
  private let rows: Int
  private let columns: Int
  private let storage: FloatBuffer
  private let parts: [Part]
  private let tasks: UnsafeMutablePointer<Task>
  private let taskCount: Int

  /// Rows of a group.
  private static let groupRows = Int(REFT_DECODE_ROWS)
  /// Columns of a block.
  private static let block = Int(REFT_DECODE_BLOCK)
  /// Bytes of weights that one task reads, about.
  private static let taskBytes = 64 << 10

  /// Repacks a weight; nil when one of its parts has no layout for int8 products.
  init?(_ weight: StackedWeight, pool: ThreadPool) {
    (rows, columns) = (weight.rows, weight.columns)
    guard let (plan, byteCount) = Self.plan(weight) else { return nil }
    storage = FloatBuffer(count: (byteCount + 3) / 4, isStreamed: true)
    let base = UnsafeMutableRawPointer(storage.base).assumingMemoryBound(to: UInt8.self)
    servesPrompts = plan.allSatisfy { reft_rows16_serve_prompts($0.layout) != 0 }
    servesPanels = weight.parts.allSatisfy {
      $0.type.blockSize == Int(REFT_DECODE_BLOCK) && $0.rows % Self.groupRows == 0
    }
    parts = zip(weight.parts, plan).map { part, plan in
      Part(
        rows: part.rows,
        layout: plan.layout,
        groupBytes: plan.groupBytes,
        data: base + plan.offset
      )
    }
    var tasks: [Task] = []
    var firstRow = 0
    for (part, plan) in zip(weight.parts, plan) {
      let data = base + plan.offset
      let rowCount = max(1, Self.taskBytes / plan.groupBytes) * Self.groupRows
      for first in stride(from: 0, to: part.rows, by: rowCount) {
        tasks.append(
          Task(
            firstRow: firstRow + first,
            rows: min(rowCount, part.rows - first),
            layout: plan.layout,
            data: data + first / Self.groupRows * plan.groupBytes
          )
        )
      }
      firstRow += part.rows
      let groups = (part.rows + Self.groupRows - 1) / Self.groupRows
      pool.run((groups + 15) / 16) { task in
        for group in task * 16..<min(groups, task * 16 + 16) {
          let rows = (0..<Self.groupRows).map { offset -> UnsafeRawPointer? in
            let row = group * Self.groupRows + offset
            return row < part.rows ? part.address(row: row) : nil
          }
          let target = data + group * plan.groupBytes
          reft_rows16_repack(part.type.rawValue, weight.columns, rows, target)
        }
      }
      // From here on tokens are decoded: two copies would be held where one is read.
      part.letGo()
    }
    taskCount = tasks.count
    self.tasks = .allocate(capacity: tasks.count)
    self.tasks.initialize(from: tasks, count: tasks.count)
  }

  deinit { tasks.deallocate() }

  /// Where the groups of each part lie, and the bytes of all; nil without a layout for a part.
  private static func plan(
    _ weight: StackedWeight
  ) -> (parts: [(layout: UInt32, groupBytes: Int, offset: Int)], byteCount: Int)? {
    guard weight.columns % Int(REFT_DECODE_BLOCK) == 0 else { return nil }
    var byteCount = 0
    var plan: [(layout: UInt32, groupBytes: Int, offset: Int)] = []
    for part in weight.parts {
      let layout = reft_rows16_layout(part.type.rawValue)
      guard layout != 0 else { return nil }
      let blocks = weight.columns / Int(REFT_DECODE_BLOCK)
      let groupBytes = blocks * reft_rows16_block_bytes(layout)
      plan.append((layout, groupBytes, byteCount))
      byteCount += (part.rows + groupRows - 1) / groupRows * groupBytes
      byteCount = (byteCount + 63) & ~63
    }
    return (plan, byteCount)
  }

  /// The bytes that a repacked weight takes; 0 for one that is read as it lies in the file.
  static func byteCount(of weight: StackedWeight) -> Int { plan(weight)?.byteCount ?? 0 }

  /// y[n, rows] (+)= x[n, columns] Wᵀ with x rounded to int8 digits, a scale for every 32 columns
  /// of each; `work` makes a row of x before it is rounded.
  func multiply(
    rows n: Int,
    x: UnsafePointer<Float>,
    making work: RowWork?,
    digits: Int,
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool,
    pool: ThreadPool
  ) {
    let activations = RoundedRows.memory(
      rows: n,
      columns: columns,
      digits: digits,
      codeBytes: reft_rows16_code_bytes(digits)
    )
    let prepare = { [columns] (row: Int) in
      work?(row)
      var activations = activations
      reft_quantize_rows(x, columns, &activations, row, 1)
    }
    // Pointers, since threads would fight over the reference counts of arrays.
    let tasks = UnsafePointer(tasks)
    pool.run(preparing: n, prepare, then: taskCount) { [rows] index in
      tasks[index].multiply(activations, y, rows, accumulate: accumulate)
    }
  }

  /// out[count, 16] = the columns from `column` on, multiples of 32, of sixteen rows of the stack.
  ///
  /// - Precondition: `servesPanels`, and `row` is a multiple of 16.
  func values(row: Int, column: Int, count: Int, into out: UnsafeMutablePointer<Float>) {
    let (layout, group) = group(of: row)
    reft_rows16_values(layout, group, column / Self.block, count / Self.block, out)
  }

  /// The same numbers split into the tiles of a panel.
  func split(row: Int, column: Int, count: Int, into tiles: UnsafeMutablePointer<UInt8>) {
    let (layout, group) = group(of: row)
    reft_split_rows16(layout, group, column / Self.block, count / Self.block, tiles)
  }

  /// Where the sixteen rows from `row` on lie, and how.
  private func group(of row: Int) -> (layout: UInt32, data: UnsafePointer<UInt8>) {
    var rest = row
    for part in parts {
      if rest < part.rows {
        return (part.layout, part.data + rest / Self.groupRows * part.groupBytes)
      }
      rest -= part.rows
    }
    preconditionFailure("row \(row) of a repacked weight")
  }

  /// The same for the many rows of a prompt.
  func multiplyMany(
    rows n: Int,
    x: UnsafePointer<Float>,
    making work: RowWork?,
    digits: Int,
    y: UnsafeMutablePointer<Float>,
    accumulate: Bool,
    pool: ThreadPool
  ) {
    let tasks = UnsafePointer(tasks)
    RoundedRows.multiply(
      rows: n,
      columns: columns,
      x: x,
      making: work,
      digits: digits,
      codeBytes: reft_rows16_code_bytes(digits),
      tasks: taskCount,
      pieceRows: RoundedRows.blockRows,
      pool: pool
    ) { [rows] index, row, rounded in
      tasks[index].multiply(rounded, y + row * rows, rows, accumulate: accumulate)
    }
  }
}

/// Makes a repacked weight when it is first asked for.
final class LazyRepackedWeight: Sendable {
  private enum State {
    case unknown
    case known(RepackedWeight?)
  }
  private let state = Mutex<State>(.unknown)

  /// The weight where it has been made.
  var known: RepackedWeight? {
    state.withLock { if case .known(let value) = $0 { value } else { nil } }
  }

  func value(of weight: StackedWeight, pool: ThreadPool) -> RepackedWeight? {
    state.withLock { state in
      if case .known(let value) = state { return value }
      let value = RepackedWeight(weight, pool: pool)
      state = .known(value)
      return value
    }
  }
}
