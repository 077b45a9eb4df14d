// SPDX-License-Identifier: Apache-2.0
// An editor that edits nothing: it looks at the rows of some tokens on their way through the model.

import ReFTModel

/// Hands the rows of some tokens at some sites to a closure.
final class ReadingEditor: HiddenStateEditor {
  /// Takes one row: which site, which of the tokens, its first number, how many there are.
  typealias Take = (
    _ site: Int, _ place: Int, _ row: UnsafePointer<Float>, _ width: Int
  ) -> Void

  let sites: Set<Site>
  let needsAllRows = false
  /// Rows that are read are outputs of the pass, which never share theirs.
  let sharedPrefixLimit = Int.max
  private let readings: [Site: Reading]

  /// - Parameters:
  ///   - sites: where rows are read.
  ///   - tokens: batch indices of the tokens, ascending.
  ///   - take: is called once for each site and token.
  init(_ sites: [Site], tokens: [Int32], take: @escaping Take) {
    self.sites = Set(sites)
    readings = Dictionary(
      uniqueKeysWithValues: sites.enumerated().map { number, site in
        (site, Reading(tokens, site: number, take: take))
      }
    )
  }

  func edits(at site: Site) -> [any RowEdit] { readings[site].map { [$0] } ?? [] }

  private final class Reading: RowEdit {
    let tokens: [Int32]
    private let site: Int
    private let take: Take

    init(_ tokens: [Int32], site: Int, take: @escaping Take) {
      (self.tokens, self.site, self.take) = (tokens, site, take)
    }

    func edit(_ rows: GatheredRows) {
      for (index, place) in rows.places.enumerated() {
        take(site, Int(place), UnsafePointer(rows.rows + index * rows.width), rows.width)
      }
    }

    func differentiate(_ gradient: GatheredRows) {}
  }
}
