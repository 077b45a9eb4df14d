// SPDX-License-Identifier: Apache-2.0
// An editor for tests that changes nothing and writes down what it is shown.

import ReFTModel
import _ReFTTestSupport

/// Records the rows of every site in the order of the visits.
final class VisitRecorder: HiddenStateEditor {
  struct Visit {
    var site: Site
    var width: Int
    /// A copy of each token's row; nil where the pass does not compute it.
    var rows: [[Float]?]
  }

  let sites: Set<Site>
  let needsAllRows: Bool
  let sharedPrefixLimit: Int
  let tokenCount: Int
  private(set) var edits: [Visit] = []
  private(set) var gradients: [Visit] = []

  init(_ sites: Set<Site>, tokenCount: Int, needsAllRows: Bool, sharedPrefixLimit: Int = 0) {
    self.sites = sites
    self.tokenCount = tokenCount
    self.needsAllRows = needsAllRows
    self.sharedPrefixLimit = sharedPrefixLimit
  }

  func edits(at site: Site) -> [any RowEdit] {
    [
      RowsEdit(Array(0..<tokenCount)) { [self] in
        edits.append(visit($0, site))
      } backward: { [self] in
        gradients.append(visit($0, site))
      }
    ]
  }

  private func visit(_ gathered: GatheredRows, _ site: Site) -> Visit {
    var rows = [[Float]?](repeating: nil, count: tokenCount)
    for (index, place) in gathered.places.enumerated() {
      let row = gathered.rows + index * gathered.width
      rows[Int(place)] = Array(UnsafeBufferPointer(start: row, count: gathered.width))
    }
    return Visit(site: site, width: gathered.width, rows: rows)
  }
}
