// SPDX-License-Identifier: Apache-2.0
// What a call says of its rows: the table and its lists, in memory that nobody may write.

import CReFTPlugin

/// The `rows` of a call.
struct RowsMemory {
  private let lists: [GuardedBuffer]
  private let keys: GuardedBuffer?
  private let table: GuardedBuffer

  /// Describes rows at some places; nil for a call without a description.
  init?(_ subject: Subject, places: [Int], _ style: CallStyle) throws {
    guard style.withRows else { return nil }
    lists = style.emptyRows ? [] : try Self.lists(subject, places, style)
    keys = style.emptyRows ? nil : try Self.keys(places)
    let size = MemoryLayout<reft_rows_t>.size + (style.future ? 64 : 0)
    table = try GuardedBuffer("rows", byteCount: size, alignment: 8, fill: 0xFF)
    var description = reft_rows_t()
    description.struct_size = UInt32(size)
    description.n = Int64(places.count)
    if let keys {
      RowPlaces.set(
        lists.map { UnsafePointer($0.base.assumingMemoryBound(to: Int32.self)) },
        keys: UnsafePointer(keys.base.assumingMemoryBound(to: Int64.self)),
        in: &description
      )
    }
    table.base.bindMemory(to: reft_rows_t.self, capacity: 1).initialize(to: description)
    table.makeReadOnly()
  }

  /// The table; valid as long as its memory.
  var pointer: UnsafePointer<reft_rows_t> {
    UnsafePointer(table.base.assumingMemoryBound(to: reft_rows_t.self))
  }

  private static func lists(
    _ subject: Subject,
    _ places: [Int],
    _ style: CallStyle
  ) throws -> [GuardedBuffer] {
    try RowPlaces.lists.map { name, value in
      let buffer = try GuardedBuffer(name, byteCount: places.count * 4)
      let list = buffer.base.bindMemory(to: Int32.self, capacity: places.count)
      for (row, place) in places.enumerated() {
        switch name {
        case "rows.location" where subject.locations == 0: list[row] = -1
        case "rows.example": list[row] = value(place) + style.exampleShift
        default: list[row] = value(place)
        }
      }
      buffer.makeReadOnly()
      return buffer
    }
  }

  private static func keys(_ places: [Int]) throws -> GuardedBuffer {
    let buffer = try GuardedBuffer("rows.key", byteCount: places.count * 8, alignment: 8)
    let list = buffer.base.bindMemory(to: Int64.self, capacity: places.count)
    for (row, place) in places.enumerated() { list[row] = RowPlaces.key(place) }
    buffer.makeReadOnly()
    return buffer
  }
}
