// SPDX-License-Identifier: Apache-2.0
// Where the rows of a call come from, in every call that the checker makes, as in a run.

import CReFTPlugin
import ReFTHost

/// Five tokens of each sequence: the last four of a prompt of six, which the rule lists, and the
/// first decoded one.
enum RowPlaces {
  /// How many locations the rule lists.
  static let locationCount = 4
  /// How many rows of a sequence follow each other.
  static let perSequence = 5
  private static let promptLength: Int32 = 6

  /// The sequence of a row.
  static func sequence(_ row: Int) -> Int { row / perSequence }

  private static func isDecoded(_ row: Int) -> Bool { row % perSequence == locationCount }

  /// The lists by name, in the order of `reft_rows_t`, with the value of each row.
  static let lists: [(name: String, value: @Sendable (Int) -> Int32)] = [
    ("rows.example", { Int32(sequence($0)) }),
    ("rows.position", { isDecoded($0) ? promptLength : Int32($0 % perSequence + 2) }),
    ("rows.length", { _ in promptLength }),
    ("rows.location", { isDecoded($0) ? -1 : Int32($0 % perSequence) }),
    ("rows.subspace", { Int32(sequence($0) % 3 - 1) }), ("rows.adapter", { _ in 0 }),
    ("rows.decoded", { isDecoded($0) ? 1 : 0 }),
  ]

  /// What names the sequence of a row in any batch; no index.
  static func key(_ row: Int) -> Int64 { 1 << 40 + Int64(sequence(row)) }

  /// Sets the lists of a table of rows.
  static func set(
    _ pointers: [UnsafePointer<Int32>],
    keys: UnsafePointer<Int64>,
    in table: inout reft_rows_t
  ) {
    table.example = pointers[0]
    table.position = pointers[1]
    table.length = pointers[2]
    table.location = pointers[3]
    table.subspace = pointers[4]
    table.adapter = pointers[5]
    table.decoded = pointers[6]
    table.key = keys
  }

  /// The site of an instance of the host's, the same as the checker's own instances get.
  static func site(dim: Int, sourceDim: Int) -> PluginSite {
    PluginSite(
      dim: dim,
      layer: 3,
      component: "block_output",
      sourceDim: sourceDim,
      locations: locationCount
    )
  }

  /// Hands out the lists as the host's instances take them; valid until the closure returns.
  static func withOrigins<Result>(
    rows: Int,
    _ body: (PluginRows) throws -> Result
  ) rethrows -> Result {
    try withOrigins(rows: rows, replacing: reft_rows_t(), isOneSequence: false, body)
  }

  /// The same for the lists of a table.
  ///
  /// Those that are absent there are the same for every row: a run always has them, and without them
  /// no row differs from another.
  static func withOrigins<Result>(
    rows: Int,
    replacing table: reft_rows_t,
    isOneSequence: Bool = true,
    _ body: (PluginRows) throws -> Result
  ) rethrows -> Result {
    let places = (0..<rows).map { isOneSequence ? 0 : $0 }
    let own = lists.flatMap { list in places.map(list.value) }
    let keys = places.map(key)
    return try own.withUnsafeBufferPointer { own in
      try keys.withUnsafeBufferPointer { keys in
        func list(_ index: Int, _ given: UnsafePointer<Int32>?) -> UnsafePointer<Int32>? {
          given ?? own.baseAddress.map { $0 + index * rows }
        }
        var origins = PluginRows()
        origins.example = list(0, table.example)
        origins.position = list(1, table.position)
        origins.length = list(2, table.length)
        origins.location = list(3, table.location)
        origins.subspace = list(4, table.subspace)
        origins.adapter = list(5, table.adapter)
        origins.decoded = list(6, table.decoded)
        origins.key = table.key ?? keys.baseAddress
        return try body(origins)
      }
    }
  }
}
