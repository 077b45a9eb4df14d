// SPDX-License-Identifier: Apache-2.0
// An edit for tests: what is done to its rows is said by closures.

import ReFTModel

/// An edit of some tokens' rows.
final class RowsEdit: RowEdit {
  let tokens: [Int32]
  var columns: Range<Int>?
  var needsSource = false
  var strength: Float = 1
  private let forward: (GatheredRows) -> Void
  private let backward: (GatheredRows) -> Void

  init(
    _ tokens: [Int],
    forward: @escaping (GatheredRows) -> Void,
    backward: @escaping (GatheredRows) -> Void
  ) {
    self.tokens = tokens.map { Int32($0) }
    (self.forward, self.backward) = (forward, backward)
  }

  func edit(_ rows: GatheredRows) { forward(rows) }

  func differentiate(_ gradient: GatheredRows) { backward(gradient) }
}
