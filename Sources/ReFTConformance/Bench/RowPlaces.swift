// SPDX-License-Identifier: Apache-2.0
// Where the rows of a call come from, in every call that the checker makes, as in a run.

import CReFTPlugin
import ReFTHost

/// Four tokens of each sequence, at the positions 2 to 5 of a prompt of nine.
enum RowPlaces {
  /// The lists by name, in the order of `reft_rows_t`, with the value of each row.
  static let lists: [(name: String, value: @Sendable (Int) -> Int32)] = [
    ("rows.example", { Int32($0 / 4) }), ("rows.position", { Int32($0 % 4 + 2) }),
    ("rows.length", { _ in 9 }), ("rows.location", { Int32($0 % 4) }),
    ("rows.subspace", { _ in -1 }), ("rows.adapter", { _ in 0 }),
  ]

  /// Sets the lists of a table of rows.
  static func set(_ pointers: [UnsafePointer<Int32>], in table: inout reft_rows_t) {
    table.example = pointers[0]
    table.position = pointers[1]
    table.length = pointers[2]
    table.location = pointers[3]
    table.subspace = pointers[4]
    table.adapter = pointers[5]
  }

  /// Hands out the lists as the host's instances take them; valid until the closure returns.
  static func withOrigins<Result>(
    rows: Int,
    _ body: (PluginRows) throws -> Result
  ) rethrows -> Result {
    try withOrigins(rows: rows, replacing: reft_rows_t(), value: { list, row in list(row) }, body)
  }

  /// The same for the lists of a table.
  ///
  /// Those that are absent there are the same for every row: a run always has them, and without them
  /// no row differs from another.
  static func withOrigins<Result>(
    rows: Int,
    replacing table: reft_rows_t,
    value: (_ list: (Int) -> Int32, _ row: Int) -> Int32 = { list, _ in list(0) },
    _ body: (PluginRows) throws -> Result
  ) rethrows -> Result {
    let own = lists.flatMap { list in (0..<rows).map { value(list.value, $0) } }
    return try own.withUnsafeBufferPointer { own in
      func list(_ index: Int, _ given: UnsafePointer<Int32>?) -> UnsafePointer<Int32>? {
        given ?? own.baseAddress.map { $0 + index * rows }
      }
      var origins = PluginRows()
      origins.example = list(0, table.example)
      origins.position = list(1, table.position)
      origins.length = list(2, table.length)
      origins.location = list(3, table.location)
      origins.adapter = list(5, table.adapter)
      return try body(origins)
    }
  }
}
