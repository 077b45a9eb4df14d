// SPDX-License-Identifier: Apache-2.0
// From the edits of several adapters at one site to the edits that a pass makes there.

import ReFTModel
import ReFTTensor

/// The edits of one adapter at one site, in order, and how much of their difference counts.
struct EditChain {
  var strength: Float
  /// What the user calls the adapter.
  var name: String
  var edits: [SiteEdit]

  /// The numbers that its edits change.
  var cells: [EditedCells] { edits.map(EditedCells.init) }

  /// Whether no two of its edits change the same number.
  var isPlain: Bool {
    let cells = cells
    return cells.indices.allSatisfy { index in
      cells[..<index].allSatisfy { $0.common(with: cells[index]) == nil }
    }
  }
}

/// Which numbers of which rows an edit changes.
struct EditedCells {
  let columns: Range<Int>?
  let tokens: Set<Int32>

  init(_ edit: SiteEdit) {
    columns = edit.columns
    tokens = Set(edit.tokens)
  }

  /// A token where both change the same number; nil where there is none.
  func common(with other: EditedCells) -> Int32? {
    if let columns, let theirs = other.columns, !columns.overlaps(theirs) { return nil }
    return tokens.intersection(other.tokens).min()
  }
}

extension CompositionRule {
  /// The edits of a site: those of one adapter as they are, those of several as the rule says.
  ///
  /// - Throws: `.usage` where the rule is `error` and two adapters change the same number.
  func edits(of chains: [EditChain], at site: Site) throws(ReFTError) -> [any RowEdit] {
    guard chains.count > 1, self != .sequential else {
      return chains.flatMap(Self.alone)
    }
    let cells = chains.map(\.cells)
    for later in cells.indices {
      for earlier in cells[..<later].indices {
        guard let token = Self.common(cells[earlier], cells[later]) else { continue }
        guard self == .error else { return [ComposedEdit(chains, at: site)] }
        let position = chains[later].edits.lazy.compactMap { edit in
          edit.tokens.firstIndex(of: token).map { edit.rows.positions[$0] }
        }.first
        throw .editsMeet(
          chains[earlier].name,
          chains[later].name,
          site: "\(site)",
          position: position ?? 0
        )
      }
    }
    return chains.flatMap(Self.alone)
  }

  /// The edits of one adapter: times its strength each, where none reads what another wrote.
  private static func alone(_ chain: EditChain) -> [any RowEdit] {
    if chain.strength == 1 { return chain.edits }
    guard chain.isPlain else { return [ComposedEdit([chain], at: chain.edits[0].unit.site)] }
    for edit in chain.edits { edit.strength *= chain.strength }
    return chain.edits
  }

  private static func common(_ one: [EditedCells], _ other: [EditedCells]) -> Int32? {
    for cells in one {
      for others in other {
        if let token = cells.common(with: others) { return token }
      }
    }
    return nil
  }
}
