// SPDX-License-Identifier: Apache-2.0
// An editor for tests that changes nothing and writes down what it is shown.

import ReFTModel

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

  func edit(_ hidden: HiddenRows, at site: Site) { edits.append(visit(hidden, site)) }

  func differentiate(_ gradient: HiddenRows, at site: Site) {
    gradients.append(visit(gradient, site))
  }

  private func visit(_ hidden: HiddenRows, _ site: Site) -> Visit {
    let rows = (0..<tokenCount).map { token in
      hidden.row(ofToken: token).map { Array(UnsafeBufferPointer(start: $0, count: hidden.width)) }
    }
    return Visit(site: site, width: hidden.width, rows: rows)
  }
}
