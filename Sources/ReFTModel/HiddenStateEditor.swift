// SPDX-License-Identifier: Apache-2.0
// What a model offers to whoever edits its hidden states. The model knows nothing of plugins.

/// A hidden tensor, or its gradient, at one site of one pass: rows of `width` floats, in memory.
public struct HiddenRows {
  /// The first number of the first row; valid during the call that hands it out.
  public let base: UnsafeMutablePointer<Float>
  /// Numbers from one row to the next.
  public let rowStride: Int
  /// Numbers in a row.
  public let width: Int
  /// For each token of the batch its row here, −1 where it is not computed; nil: row = token.
  public let rowOfToken: UnsafePointer<Int32>?

  /// Describes a tensor of a pass.
  public init(
    base: UnsafeMutablePointer<Float>,
    rowStride: Int,
    width: Int,
    rowOfToken: UnsafePointer<Int32>? = nil
  ) {
    self.base = base
    self.rowStride = rowStride
    self.width = width
    self.rowOfToken = rowOfToken
  }

  /// The row of a token of the batch, or nil where the model does not compute it.
  public func row(ofToken token: Int) -> UnsafeMutablePointer<Float>? {
    guard let rowOfToken else { return base + token * rowStride }
    let row = Int(rowOfToken[token])
    return row < 0 ? nil : base + row * rowStride
  }
}

/// Edits hidden states during a pass over one batch, and carries gradients back through the edits.
///
/// A pass calls `edit` once for each of `sites`, in the order of computation, and a backward pass
/// calls `differentiate` for the same sites in reverse. All calls come from one thread.
public protocol HiddenStateEditor: AnyObject {
  /// The sites that this editor wants; they do not change during a pass.
  var sites: Set<Site> { get }

  /// Whether every token's row must be present at its sites, even where no label depends on it.
  var needsAllRows: Bool { get }

  /// How many leading tokens of every sequence are edited alike in all sequences of the batch, so
  /// that equal tokens there may share one row; `Int.max` when no edit depends on the sequence.
  var sharedPrefixLimit: Int { get }

  /// Replaces the rows that it edits, in place.
  ///
  /// - Throws: what the intervention reports; the pass ends and its results are dropped.
  func edit(_ hidden: HiddenRows, at site: Site) throws

  /// Turns d loss / d (edited rows) into d loss / d (rows before the edit), in place, and
  /// accumulates the gradients of its own parameters.
  func differentiate(_ gradient: HiddenRows, at site: Site) throws
}
