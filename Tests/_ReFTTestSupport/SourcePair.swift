// SPDX-License-Identifier: Apache-2.0
// Two edits of which the upper one reads what its layer read, and says how the loss depends on it.

import Foundation
package import ReFTModel

/// h + v at the input of block 0, and at a site above y = x + b tanh(a · s), s what its layer read.
package final class SourcePair: HiddenStateEditor {
  package let sites: Set<Site>
  package let needsAllRows = false
  package let sharedPrefixLimit = 0
  private let lower: RowsEdit
  private let upper: RowsEdit
  private static let bottom = Site(block: 0, component: .blockInput)
  private let sums: Sums

  /// What is added below, and the gradient of that.
  package final class Sums {
    package let v: [Float]
    package fileprivate(set) var gradient: [Float]
    package init(_ v: [Float]) { (self.v, gradient) = (v, v.map { _ in 0 }) }
  }

  package init(
    _ site: Site,
    tokens: [Int],
    a: [Float],
    b: [Float],
    _ sums: Sums,
    gives: Bool = true
  ) {
    sites = [Self.bottom, site]
    self.sums = sums
    lower = RowsEdit(tokens) { rows in
      for row in 0..<rows.count {
        for j in sums.v.indices { rows.rows[row * rows.width + j] += sums.v[j] }
      }
    } backward: { rows in
      for row in 0..<rows.count {
        for j in sums.v.indices { sums.gradient[j] += rows.rows[row * rows.width + j] }
      }
    }
    var read: [Float] = []
    upper = RowsEdit(tokens) { rows in
      guard let source = rows.source else { return }
      read = (0..<rows.count).map { row in
        tanh(a.indices.reduce(0) { $0 + a[$1] * source[row * rows.sourceWidth + $1] })
      }
      for row in 0..<rows.count {
        for j in b.indices { rows.rows[row * rows.width + j] += b[j] * read[row] }
      }
    } backward: { rows in
      guard let slopes = rows.sourceGradient else { return }
      for row in 0..<rows.count {
        let sum = b.indices.reduce(Float(0)) { $0 + b[$1] * rows.rows[row * rows.width + $1] }
        let slope = sum * (1 - read[row] * read[row])
        for j in a.indices { slopes[row * rows.sourceWidth + j] = slope * a[j] }
      }
    }
    upper.needsSource = true
    upper.givesSourceGradient = gives
  }

  package func edits(at site: Site) -> [any RowEdit] { [site == Self.bottom ? lower : upper] }
}
