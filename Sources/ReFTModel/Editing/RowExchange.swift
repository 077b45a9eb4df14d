// SPDX-License-Identifier: Apache-2.0
// Gathers rows for edits and scatters what becomes of them: the one place that knows how a hidden
// tensor lies in memory and hands it to somebody else.

import ReFTTensor

/// A hidden tensor, or its gradient, at one site of one pass: rows of `width` floats, in memory.
package struct HiddenRows {
  /// The first number of the first row; valid during the call that hands it out.
  package let base: UnsafeMutablePointer<Float>
  /// Numbers from one row to the next.
  package let rowStride: Int
  /// Numbers in a row.
  package let width: Int
  /// For each token of the batch its row here, −1 where it is not computed; nil: row = token.
  package let rowOfToken: UnsafePointer<Int32>?

  /// Describes a tensor of a pass.
  package init(
    base: UnsafeMutablePointer<Float>,
    rowStride: Int,
    width: Int,
    rowOfToken: UnsafePointer<Int32>? = nil
  ) {
    self.base = base
    self.rowStride = rowStride
    self.width = width
    self.rowOfToken = rowOfToken
  }

  /// Which row a token of the batch has; negative where the model does not compute it.
  func row(of token: Int32) -> Int { Int(rowOfToken?[Int(token)] ?? token) }
}

/// Memory for rows on their way to edits and back, reused from one edit to the next.
package final class RowExchange {
  private var rows = GrowingBuffer()
  private var sources = GrowingBuffer()
  private let strength = EditStrength()
  /// For each present row of an edit, which of its tokens it is, where some are missing.
  private var present: [Int32] = []
  /// The same where none is missing: 0, 1, 2 and so on.
  private var all: [Int32] = []
  /// For each row of a tensor, the last search that met it.
  private var stamps: [UInt32] = []
  private var stamp: UInt32 = 0

  /// Memory of its own.
  package init() {}

  /// Lets the edits of a site at its rows.
  ///
  /// - Throws: what an edit throws, `usage` for columns that the rows do not have, or for a source
  ///   where there is none.
  package func edit(
    _ hidden: HiddenRows,
    source: HiddenRows? = nil,
    at site: Site,
    by editor: any HiddenStateEditor
  ) throws {
    for edit in editor.edits(at: site) {
      if edit.needsSource, source == nil { throw ReFTError.siteWithoutSource(site) }
      try exchange(hidden, source, edit, at: site) { rows in
        try strength.edit(rows, by: edit)
      }
    }
  }

  /// Carries the gradients of a site's rows back through its edits.
  ///
  /// - Throws: as `edit`.
  package func differentiate(
    _ gradient: HiddenRows,
    at site: Site,
    by editor: any HiddenStateEditor
  ) throws {
    for edit in editor.edits(at: site).reversed() {
      try exchange(gradient, nil, edit, at: site) { rows in
        try strength.differentiate(rows, by: edit)
      }
    }
  }

  /// Gathers the rows of an edit, lets it work, and puts them back.
  private func exchange(
    _ hidden: HiddenRows,
    _ source: HiddenRows?,
    _ edit: any RowEdit,
    at site: Site,
    _ work: (GatheredRows) throws -> Void
  ) throws {
    let tokens = edit.tokens
    let columns = edit.columns ?? 0..<hidden.width
    guard columns.lowerBound >= 0, columns.upperBound <= hidden.width else {
      throw ReFTError.columnsOutsideRows(columns, width: hidden.width, site)
    }
    let isComplete = find(tokens, in: hidden)
    let list = isComplete ? all : present
    let count = isComplete ? tokens.count : present.count
    guard count > 0 else { return }
    try list.withUnsafeBufferPointer { list in
      let places = UnsafeBufferPointer(rebasing: list[..<count])
      let width = columns.count
      let gathered = rows.floats(count * width + GatheredRows.roomBehind)
      let base = hidden.base + columns.lowerBound
      for (index, place) in places.enumerated() {
        let row = base + hidden.row(of: tokens[Int(place)]) * hidden.rowStride
        (gathered + index * width).update(from: row, count: width)
      }
      let other = edit.needsSource ? gather(tokens, places, from: source) : nil
      let rows = GatheredRows(
        places: places,
        width: width,
        rows: gathered,
        source: other.map { UnsafePointer($0) },
        sourceWidth: source?.width ?? 0
      )
      try work(rows)
      for (index, place) in places.enumerated() {
        let row = base + hidden.row(of: tokens[Int(place)]) * hidden.rowStride
        row.update(from: gathered + index * width, count: width)
      }
    }
  }

  private func gather(
    _ tokens: [Int32],
    _ places: UnsafeBufferPointer<Int32>,
    from source: HiddenRows?
  ) -> UnsafeMutablePointer<Float>? {
    guard let source else { return nil }
    let gathered = sources.floats(places.count * source.width)
    for (index, place) in places.enumerated() {
      let row = source.base + source.row(of: tokens[Int(place)]) * source.rowStride
      (gathered + index * source.width).update(from: row, count: source.width)
    }
    return gathered
  }

  /// Finds the tokens whose rows are computed; of tokens that share a row the first.
  ///
  /// - Returns: whether every token has its row, as in decoding: then nothing needs looking for.
  private func find(_ tokens: [Int32], in hidden: HiddenRows) -> Bool {
    guard let map = hidden.rowOfToken else {
      while all.count < tokens.count { all.append(Int32(all.count)) }
      return true
    }
    present.removeAll(keepingCapacity: true)
    stamp += 1
    for (index, token) in tokens.enumerated() {
      let row = Int(map[Int(token)])
      guard row >= 0 else { continue }
      while stamps.count <= row { stamps.append(0) }
      if stamps[row] == stamp { continue }
      stamps[row] = stamp
      present.append(Int32(index))
    }
    return false
  }
}
