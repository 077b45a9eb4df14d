// SPDX-License-Identifier: Apache-2.0
// An edit for tests: what is done to its rows is said by closures.

package import ReFTModel

/// An edit of some tokens' rows.
package final class RowsEdit: RowEdit {
  package let tokens: [Int32]
  package var columns: Range<Int>?
  package var needsSource = false
  /// Whether `backward` writes its gradient.
  package var givesSourceGradient = false
  package var strength: Float = 1
  private let forward: (GatheredRows) -> Void
  private let backward: (GatheredRows) -> Void

  package init(
    _ tokens: [Int],
    forward: @escaping (GatheredRows) -> Void,
    backward: @escaping (GatheredRows) -> Void
  ) {
    self.tokens = tokens.map { Int32($0) }
    (self.forward, self.backward) = (forward, backward)
  }

  package func edit(_ rows: GatheredRows) { forward(rows) }

  package func differentiate(_ gradient: GatheredRows) { backward(gradient) }
}
