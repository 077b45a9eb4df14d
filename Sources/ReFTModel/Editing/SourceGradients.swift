// SPDX-License-Identifier: Apache-2.0
// Gradients of what layers read, on their way from the edits that find them to the tensor that was read:
// its own gradient does not exist yet when an edit of the layer's output is derived.

/// What the edits of a pass say of d loss / d (what the layer of their site reads).
package final class SourceGradients {
  /// The rows of one edit.
  private struct Rows {
    var tokens: [Int32]
    var values: [Float]
  }
  private var pending: [Site: [Rows]] = [:]

  /// None.
  package init() {}

  /// Keeps rows of an edit at a site, one for each token, one after the other.
  package func keep(_ tokens: [Int32], _ values: UnsafeBufferPointer<Float>, at site: Site) {
    pending[site, default: []].append(Rows(tokens: tokens, values: Array(values)))
  }

  /// Adds what was kept of a site to the gradient of what its layer reads, and forgets it.
  package func add(at site: Site, to gradient: HiddenRows) {
    for rows in pending.removeValue(forKey: site) ?? [] {
      for (index, token) in rows.tokens.enumerated() {
        let target = gradient.base + gradient.row(of: token) * gradient.rowStride
        let first = index * gradient.width
        for place in 0..<gradient.width { target[place] += rows.values[first + place] }
      }
    }
  }

  /// Forgets everything, for a pass that ended early.
  package func removeAll() { pending.removeAll(keepingCapacity: true) }
}
