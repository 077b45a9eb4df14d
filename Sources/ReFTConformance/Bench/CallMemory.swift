// SPDX-License-Identifier: Apache-2.0
// The matrices and parameters of a call in guarded memory, and what is found wrong around them.

import CReFTPlugin
import Glibc

/// Something around the numbers of a call.
enum Finding: Equatable {
  case unwritten(buffer: String, row: Int, column: Int, count: Int)
  case padding(buffer: String, row: Int, column: Int)
  case stray(buffer: String, offset: Int)

  var sentence: String {
    switch self {
    case .unwritten(let buffer, let row, let column, let count):
      "\(count) numbers of `\(buffer)` were never written, the first at row \(row), column \(column)"
    case .padding(let buffer, let row, let column):
      "the padding of `\(buffer)` was written, at row \(row), column \(column)"
    case .stray(let buffer, let offset):
      "`\(buffer)` was written out of bounds, \(offset) bytes from its start"
    }
  }
}

/// Parameters in guarded memory and the array of pointers to them.
final class ParameterMemory {
  let buffers: [GuardedBuffer]
  let pointers: GuardedBuffer

  init(
    _ values: [[Float]],
    writable: Bool = false,
    name: String = "params",
    side: GuardedBuffer.Side = .end,
    absent: Set<Int> = []
  ) throws {
    buffers = try values.enumerated().map {
      try GuardedBuffer("\(name)[\($0.offset)]", floats: $0.element, side: side)
    }
    pointers = try GuardedBuffer(name, byteCount: values.count * 8, alignment: 8)
    let list = pointers.base.bindMemory(to: UnsafeMutableRawPointer?.self, capacity: values.count)
    for (index, buffer) in buffers.enumerated() {
      list[index] = absent.contains(index) ? nil : buffer.base
      if !writable { buffer.makeReadOnly() }
    }
    pointers.makeReadOnly()
  }
}

/// Rows in guarded memory with strides, padding pattern between them.
final class MatrixMemory {
  let buffer: GuardedBuffer
  let rows: Int
  let columns: Int
  let rowStride: Int
  let columnStride: Int

  init(
    _ name: String,
    _ values: [Float]?,
    rows: Int,
    columns: Int,
    style: CallStyle,
    fill: UInt32 = unwrittenPattern
  ) throws {
    self.rows = rows
    self.columns = columns
    columnStride = style.columnStride
    rowStride = columns * columnStride + style.rowPadding
    // The last row has no padding behind it: the numbers end where the forbidden page begins.
    let span = rows == 0 ? 0 : (rows - 1) * rowStride + (columns - 1) * columnStride + 1
    buffer = try GuardedBuffer(name, byteCount: span * 4, side: style.side)
    let bits = buffer.base.bindMemory(to: UInt32.self, capacity: span)
    for index in 0..<span { bits[index] = paddingPattern }
    for row in 0..<rows {
      for column in 0..<columns {
        let at = row * rowStride + column * columnStride
        bits[at] = values.map { $0[row * columns + column].bitPattern } ?? fill
      }
    }
  }

  var view: reft_mat_t {
    reft_mat_t(
      struct_size: UInt32(MemoryLayout<reft_mat_t>.size),
      dtype: REFT_F32,
      data: buffer.base,
      rows: Int64(rows),
      cols: Int64(columns),
      row_stride: Int64(rowStride),
      col_stride: Int64(columnStride)
    )
  }

  /// The numbers without padding.
  var dense: [Float] {
    var out = [Float]()
    out.reserveCapacity(rows * columns)
    for row in 0..<rows {
      for column in 0..<columns {
        out.append(buffer.floats[row * rowStride + column * columnStride])
      }
    }
    return out
  }

  /// What is wrong around the numbers.
  func findings(checkUnwritten: Bool) -> [Finding] {
    var list: [Finding] = []
    var first: (Int, Int)?
    var missing = 0
    let bits = UnsafePointer(buffer.base.assumingMemoryBound(to: UInt32.self))
    let span = buffer.byteCount / 4
    for at in 0..<span {
      let (row, rest) = at.quotientAndRemainder(dividingBy: rowStride)
      let (column, off) = rest.quotientAndRemainder(dividingBy: columnStride)
      if off == 0 && column < columns {
        if checkUnwritten && bits[at] == unwrittenPattern {
          missing += 1
          if first == nil { first = (row, column) }
        }
      } else if bits[at] != paddingPattern {
        list.append(.padding(buffer: buffer.name, row: row, column: rest))
        break
      }
    }
    if let first {
      list.append(
        .unwritten(buffer: buffer.name, row: first.0, column: first.1, count: missing)
      )
    }
    if let offset = buffer.strayWrite { list.append(.stray(buffer: buffer.name, offset: offset)) }
    return list
  }
}
