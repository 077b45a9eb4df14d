// SPDX-License-Identifier: Apache-2.0
// What a model offers to whoever edits its hidden states. The model knows nothing of plugins.

/// Rows of a hidden tensor, or of its gradient, gathered for one edit.
public struct GatheredRows {
  /// For each row, which of the edit's tokens it is, ascending.
  public let places: UnsafeBufferPointer<Int32>
  /// Numbers in a row.
  public let width: Int
  /// The rows, one after the other; without an `output` of its own, what stands here afterwards goes
  /// back to where they were.
  public let rows: UnsafeMutablePointer<Float>
  /// Where edited rows go, if not in the place of `rows`; only for edits that take it.
  ///
  /// Rows of a forward pass then stay as they are until the way back is done.
  public let output: UnsafeMutablePointer<Float>?
  /// What the layer that made the rows read, for edits that need it, one row after the other; not on
  /// the way back, when other numbers lie there.
  public let source: UnsafePointer<Float>?
  /// Numbers in a row of the source.
  public let sourceWidth: Int
  /// On the way back: takes d loss / d source, one row after the other, from edits that say how the
  /// loss depends on it; nil where nothing below is edited, and so nobody asks.
  public let sourceGradient: UnsafeMutablePointer<Float>?

  /// Numbers of free memory behind the rows, for who wants to see that nobody writes there.
  public static let roomBehind = 16

  /// Rows that a runtime has gathered.
  package init(
    places: UnsafeBufferPointer<Int32>,
    width: Int,
    rows: UnsafeMutablePointer<Float>,
    output: UnsafeMutablePointer<Float>? = nil,
    source: UnsafePointer<Float>? = nil,
    sourceWidth: Int = 0,
    sourceGradient: UnsafeMutablePointer<Float>? = nil
  ) {
    (self.places, self.width, self.rows) = (places, width, rows)
    self.output = output
    (self.source, self.sourceWidth) = (source, sourceWidth)
    self.sourceGradient = sourceGradient
  }

  /// How many rows there are, at least 1.
  public var count: Int { places.count }
}

/// One edit of some rows at one site.
///
/// The runtime gathers the rows, calls, and scatters them times the edit's strength: the rows lie in
/// the memory of this process wherever the model runs.
public protocol RowEdit: AnyObject {
  /// The tokens of the batch whose rows it edits; those that a pass does not compute are left out,
  /// and of tokens that share a row the first stands for all.
  var tokens: [Int32] { get }
  /// Which numbers of each row, such as those of one head; nil for all.
  var columns: Range<Int>? { get }
  /// Whether it looks at what the layer that makes the rows reads: see
  /// `ModelConfiguration.sourceWidth(of:)`.
  var needsSource: Bool { get }
  /// Whether `differentiate` writes d loss / d source where it is asked for; if not, to gradients the
  /// source is a constant.
  var givesSourceGradient: Bool { get }
  /// How much of the change counts: rows become row + strength · (edited − row).
  var strength: Float { get }

  /// Whether it writes what becomes of rows to an `output` where one is given, and reads rows of a
  /// forward pass on the way back where they were.
  var takesOutput: Bool { get }

  /// Replaces the rows, or writes them to where they are wanted.
  ///
  /// - Throws: what the intervention reports; the pass ends and its results are dropped.
  func edit(_ rows: GatheredRows) throws

  /// Turns d loss / d (edited rows) into d loss / d (rows before the edit), in place or where it is
  /// wanted, and accumulates the gradients of its own parameters.
  func differentiate(_ gradient: GatheredRows) throws
}

extension RowEdit {
  /// All numbers of each row.
  public var columns: Range<Int>? { nil }
  /// It looks at its rows alone.
  public var needsSource: Bool { false }
  /// What it looks at beside them, if anything, is a constant.
  public var givesSourceGradient: Bool { false }
  /// All of the change.
  public var strength: Float { 1 }
  /// It works in place.
  public var takesOutput: Bool { false }
}

/// Edits hidden states during a pass over one batch, and carries gradients back through the edits.
///
/// A pass asks for the edits of each of `sites`, in the order of computation, and a backward pass for
/// those of the same sites in reverse. All calls come from one thread.
public protocol HiddenStateEditor: AnyObject {
  /// The sites that this editor wants; they do not change during a pass.
  var sites: Set<Site> { get }

  /// Whether every token's row must be present at its sites, even where no label depends on it.
  var needsAllRows: Bool { get }

  /// How many leading tokens of every sequence are edited alike in all sequences of the batch, so
  /// that equal tokens there may share one row; `Int.max` when no edit depends on the sequence.
  var sharedPrefixLimit: Int { get }

  /// The edits of one of `sites`, in the order in which they apply.
  func edits(at site: Site) -> [any RowEdit]
}

/// An editor that also updates products of the model by matrices of low rank.
package protocol ProductEditor: HiddenStateEditor {
  /// The updates of the batch; nil for none.
  var updates: LowRankUpdates? { get }
}

extension HiddenStateEditor {
  /// The updates of products that come with the edits.
  package var productUpdates: LowRankUpdates? { (self as? any ProductEditor)?.updates }
}
