// SPDX-License-Identifier: Apache-2.0
// An editor for tests: adds one vector to chosen tokens at chosen sites, and sums its gradient.

import ReFTModel

/// h + v at some tokens of some sites.
final class AddingEditor: HiddenStateEditor {
  let sites: Set<Site>
  var needsAllRows = false
  var sharedPrefixLimit = 0
  let tokens: [Int]
  var vector: [Float]
  private(set) var gradient: [Float]
  private(set) var edited: [Site] = []
  private(set) var differentiated: [Site] = []

  init(_ sites: Set<Site>, tokens: [Int], vector: [Float]) {
    self.sites = sites
    self.tokens = tokens
    self.vector = vector
    gradient = [Float](repeating: 0, count: vector.count)
  }

  func edit(_ hidden: HiddenRows, at site: Site) {
    edited.append(site)
    for token in tokens {
      guard let row = hidden.row(ofToken: token) else { continue }
      for index in 0..<hidden.width { row[index] += vector[index] }
    }
  }

  func differentiate(_ gradient: HiddenRows, at site: Site) {
    differentiated.append(site)
    for token in tokens {
      guard let row = gradient.row(ofToken: token) else { continue }
      for index in 0..<gradient.width { self.gradient[index] += row[index] }
    }
  }
}
