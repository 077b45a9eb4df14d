// SPDX-License-Identifier: Apache-2.0
// All edits of one site as one, which measures what becomes of each row.

import ReFTModel
import ReFTTensor

/// The edits of a site, in order, with a look at the rows before and behind them.
final class TracedEdits: RowEdit {
  let tokens: [Int32]
  let needsSource: Bool
  let givesSourceGradient: Bool
  private let union: RowUnion
  private let edits: [EditPlacement]
  private let numbers: [Int]
  private let subset: SubsetExchange
  private let trace: EditTrace
  private let site: Site
  private var before = FloatRoom()

  /// - Parameters:
  ///   - edits: the edits of the site.
  ///   - sets: the rows of all of them.
  ///   - site: where.
  ///   - numbers: the number of each sequence of the batch.
  ///   - trace: is told.
  init(
    _ edits: [any RowEdit],
    _ sets: [RowSet],
    at site: Site,
    numbers: [Int],
    trace: EditTrace
  ) {
    let union = RowUnion(sets)
    self.union = union
    tokens = union.tokens
    needsSource = edits.contains(where: \.needsSource)
    givesSourceGradient = edits.contains(where: \.givesSourceGradient)
    self.edits = edits.map { EditPlacement($0, in: union) }
    (self.numbers, self.site, self.trace) = (numbers, site, trace)
    subset = SubsetExchange(site)
  }

  func edit(_ rows: GatheredRows) throws {
    let count = rows.count * rows.width
    let old = before.floats(count)
    old.update(from: rows.rows, count: count)
    for placement in edits { try subset.edit(placement, rows) }
    for row in 0..<rows.count {
      var (change, norm) = (0.0, 0.0)
      for index in row * rows.width..<(row + 1) * rows.width {
        let difference = Double(rows.rows[index]) - Double(old[index])
        change += difference * difference
        norm += Double(old[index]) * Double(old[index])
      }
      let (sequence, position) = union.origin(of: Int(rows.places[row]))
      trace.record(
        EditChange(
          sequence: numbers[sequence],
          position: position,
          site: site,
          change: change.squareRoot(),
          norm: norm.squareRoot()
        )
      )
    }
  }

  func differentiate(_ gradient: GatheredRows) throws {
    gradient.clearSourceGradient()
    for placement in edits.reversed() { try subset.differentiate(placement, gradient) }
  }
}
