// SPDX-License-Identifier: Apache-2.0
// An editor for tests: scales chosen rows, adds a vector to them, and sums the vector's gradient.

import ReFTModel
import _ReFTTestSupport

/// h ← factor · h + weight(token) · v(site) at some tokens of some sites.
final class AffineEditor: HiddenStateEditor {
  let sites: Set<Site>
  var needsAllRows = false
  var sharedPrefixLimit = 0
  var factor: Float = 1
  var vectors: [Site: [Float]]
  /// The edited tokens in order, each with its weight: different ones, so that rows that change
  /// places are noticed.
  let weights: [(token: Int, weight: Float)]
  private(set) var gradients: [Site: [Float]]
  private(set) var edited: [Site] = []
  private(set) var differentiated: [Site] = []

  init(vectors: [Site: [Float]], weights: [(token: Int, weight: Float)]) {
    sites = Set(vectors.keys)
    self.vectors = vectors
    self.weights = weights
    gradients = vectors.mapValues { [Float](repeating: 0, count: $0.count) }
  }

  func edits(at site: Site) -> [any RowEdit] {
    [
      RowsEdit(weights.map(\.token)) { [self] in
        edit($0, at: site)
      } backward: { [self] in
        differentiate($0, at: site)
      }
    ]
  }

  private func edit(_ rows: GatheredRows, at site: Site) {
    edited.append(site)
    guard let vector = vectors[site] else { return }
    for (index, place) in rows.places.enumerated() {
      let (row, weight) = (rows.rows + index * rows.width, weights[Int(place)].weight)
      for index in 0..<rows.width { row[index] = factor * row[index] + weight * vector[index] }
    }
  }

  private func differentiate(_ rows: GatheredRows, at site: Site) {
    differentiated.append(site)
    for (index, place) in rows.places.enumerated() {
      let (row, weight) = (rows.rows + index * rows.width, weights[Int(place)].weight)
      for index in 0..<rows.width {
        gradients[site]?[index] += weight * row[index]
        row[index] *= factor
      }
    }
  }
}
