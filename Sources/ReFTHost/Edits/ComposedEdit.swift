// SPDX-License-Identifier: Apache-2.0
// Edits of several adapters that meet at a site: each works on the rows as they were, and the differences
// are added.

import ReFTModel
import ReFTTensor

/// The sum of differences y = x + Σ s · (chain(x) − x), where a chain is one adapter's edits in order.
///
/// It works on rows in the memory of this process, wherever the model runs. A number that one chain alone
/// changes, with strength 1, has the bits of that chain.
final class ComposedEdit: RowEdit {
  private struct Member {
    let strength: Float
    let edits: [EditPlacement]
    /// For each of the tokens, whether the chain has an edit there.
    let touches: [Bool]
  }

  let tokens: [Int32]
  let needsSource: Bool
  let givesSourceGradient: Bool
  private let members: [Member]
  private let subset: SubsetExchange
  private var work = FloatRoom()
  private var before = FloatRoom()
  private var sums: [Double] = []

  init(_ chains: [EditChain], at site: Site) {
    let union = RowUnion(chains.flatMap(\.edits).map(\.rows))
    tokens = union.tokens
    members = chains.map { chain in
      let placements = chain.edits.map { EditPlacement($0, in: union) }
      return Member(
        strength: chain.strength,
        edits: placements,
        touches: union.tokens.indices.map { token in
          placements.contains { $0.indices[token] >= 0 }
        }
      )
    }
    needsSource = chains.contains { $0.edits.contains(where: \.needsSource) }
    givesSourceGradient = chains.contains { $0.edits.contains(where: \.givesSourceGradient) }
    subset = SubsetExchange(site)
  }

  func edit(_ rows: GatheredRows) throws {
    let count = rows.count * rows.width
    let old = before.floats(count)
    old.update(from: rows.rows, count: count)
    try each(rows, from: old, scaled: false) { placement, work in
      try subset.edit(placement, work)
    }
    for row in 0..<rows.count where !isAlone(row, rows) {
      for index in row * rows.width..<(row + 1) * rows.width {
        rows.rows[index] = Float(Double(old[index]) + sums[index])
      }
    }
  }

  func differentiate(_ gradient: GatheredRows) throws {
    let count = gradient.count * gradient.width
    let whole = before.floats(count)
    whole.update(from: gradient.rows, count: count)
    gradient.clearSourceGradient()
    try each(gradient, from: whole, scaled: true) { placement, work in
      try subset.differentiate(placement, work)
    }
    for row in 0..<gradient.count where !isAlone(row, gradient) {
      let place = Int(gradient.places[row])
      let passing = 1 - touching(place).reduce(0.0) { $0 + Double($1.strength) }
      for index in row * gradient.width..<(row + 1) * gradient.width {
        gradient.rows[index] = Float(passing * Double(whole[index]) + sums[index])
      }
    }
  }

  /// Lets each chain work on rows of its own, and adds what it makes of them: differences forward,
  /// scaled gradients (of `scaled` rows, in reverse order) on the way back.
  private func each(
    _ rows: GatheredRows,
    from old: UnsafeMutablePointer<Float>,
    scaled: Bool,
    _ run: (EditPlacement, GatheredRows) throws -> Void
  ) throws {
    let (width, count) = (rows.width, rows.count * rows.width)
    sums = [Double](repeating: 0, count: count)
    for member in members {
      let own = work.floats(count + GatheredRows.roomBehind)
      for index in 0..<count { own[index] = scaled ? member.strength * old[index] : old[index] }
      let copy = GatheredRows(
        places: rows.places,
        width: width,
        rows: own,
        source: rows.source,
        sourceWidth: rows.sourceWidth,
        sourceGradient: rows.sourceGradient
      )
      for placement in scaled ? member.edits.reversed() : member.edits { try run(placement, copy) }
      for row in 0..<rows.count where member.touches[Int(rows.places[row])] {
        let range = row * width..<(row + 1) * width
        if isAlone(row, rows) {
          (rows.rows + range.lowerBound).update(from: own + range.lowerBound, count: width)
          continue
        }
        for index in range {
          sums[index] +=
            scaled
            ? Double(own[index])
            : Double(member.strength) * (Double(own[index]) - Double(old[index]))
        }
      }
    }
  }

  private func touching(_ place: Int) -> [Member] { members.filter { $0.touches[place] } }

  /// Whether one chain alone, with strength 1, changes a row.
  private func isAlone(_ row: Int, _ rows: GatheredRows) -> Bool {
    let touching = touching(Int(rows.places[row]))
    return touching.count == 1 && touching[0].strength == 1
  }
}
