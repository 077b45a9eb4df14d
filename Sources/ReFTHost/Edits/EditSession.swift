// SPDX-License-Identifier: Apache-2.0
// Edits the hidden states of a batch through plugins, and carries gradients back through them.

public import ReFTModel
public import ReFTTensor

/// The edits of one batch, in which each sequence may carry other adapters.
///
/// A session serves one pass at a time, from one thread: an inference step, or a forward pass with
/// its backward pass. Rows of row-wise plugins have the same bits whatever else is in the batch.
public final class EditSession: ProductEditor {
  /// What the pass is for.
  public enum Mode {
    /// Edits alone; dropout is off.
    case inference
    /// Edits with dropout; the backward pass adds to `gradients`, which have the layout of the one
    /// adapter's parameters. The random numbers are those of (key, step); `progress` is what plugins
    /// are told of the run.
    case training(
      gradients: FloatBuffer,
      randomKey: UInt64,
      randomStep: UInt64,
      progress: RunProgress = RunProgress()
    )
  }

  /// The sites at which this batch has rows to edit.
  public let sites: Set<Site>
  /// Whether a plugin looks at rows together, so that none may be left out.
  public let needsAllRows: Bool
  /// The auxiliary losses of the pass so far, each times the weight of its intervention and summed over
  /// all edited rows; 0 where the session counts none.
  public var auxiliarySum: Double { auxiliary?.sum ?? 0 }
  private let auxiliary: AuxiliaryLoss?
  /// How many leading tokens are edited alike in all sequences.
  public let sharedPrefixLimit: Int
  /// What the adapters' LoRAs add to products; nil for nothing.
  package let updates: LowRankUpdates?

  /// The edits of each block, in the order of the configuration: a decode step looks here at every
  /// block, and hashing a site would be a part of what an edit costs.
  private let edits: [[(component: Component, edits: [any RowEdit])]]
  private let rowSets: [RowSet]

  /// Prepares the edits of a batch.
  ///
  /// - Parameters:
  ///   - sequences: the sequences of the batch, in any order.
  ///   - mode: inference or training.
  ///   - dropsUpdates: whether dropout of LoRAs is on in training.
  ///   - trace: is told what the edits change; nil where nobody asks.
  ///   - auxiliaryScale: asks for the auxiliary losses of plugins; d (whole loss) / d (their weighted
  ///     sum), which a backward pass takes; nil: they are not counted.
  ///   - collector: takes what plugins tell of the rows, in inference; nil: nobody asks them.
  /// - Throws: `.usage` for positions that a prompt does not have, for training with several
  ///   adapters or with a plugin without derivative; `.misbehaved` when a plugin cannot plan.
  public init(
    _ sequences: [SequenceEdit],
    mode: Mode = .inference,
    dropsUpdates: Bool = true,
    trace: EditTrace? = nil,
    auxiliaryScale: Double? = nil,
    collector: RowCollector? = nil
  ) throws(ReFTError) {
    let plan = try RowPlan(sequences)
    let isCounted = plan.adapters.contains(where: \.hasAuxiliaryLoss)
    auxiliary = isCounted ? auxiliaryScale.map(AuxiliaryLoss.init) : nil
    let context = try Self.context(of: mode, plan, auxiliary)
    let memory = EditMemory()
    let chains = try Self.chains(of: plan, sequences, context, memory, collector)
    let all = chains.flatMap { $0.values.flatMap { $0.flatMap(\.edits) } }
    var edits = try Self.composed(chains, of: plan)
    if let trace { edits = Self.traced(edits, all, sequences, trace) }
    rowSets = Array(plan.rows.values)
    try memory.reserve(
      floats: all.map { $0.rowCount * $0.unit.dim }.max() ?? 0,
      scratchBytes: all.map(\.scratchByteCount).max() ?? 0
    )
    self.edits = Self.byBlock(edits)
    sites = Set(edits.keys)
    // A trace, and what is told of rows, is to be whole: each token has a row of its own.
    let isWhole = trace != nil || collector != nil
    needsAllRows =
      isWhole
      || all.contains { edit in
        edit.countsAuxiliary || !edit.unit.plugin.capabilities.contains(.rowwise)
      }
    let isTraining = context.gradients != nil
    let loras = LoRAPlan(sequences)
    sharedPrefixLimit =
      isWhole
      ? 0
      : min(
        plan.sharedPrefixLimit(isTraining: isTraining, countsAuxiliary: auxiliary != nil),
        loras.sharedPrefixLimit(drops: isTraining && dropsUpdates)
      )
    updates = loras.updates(
      gradients: context.gradients?.buffer,
      random: isTraining && dropsUpdates
        ? LoRA.Random(key: context.randomKey, step: context.step) : nil
    )
  }

  /// Whether the batch has no row to edit and no product to update.
  public var isEmpty: Bool { edits.isEmpty && updates == nil }

  /// Goes on to the next decoded token of each sequence, for a session whose batch has one decoded
  /// token of each: cheaper than a new session.
  public func advance() { for set in rowSets { set.advance() } }

  /// The edits of a site, in the order in which they apply.
  public func edits(at site: Site) -> [any RowEdit] {
    guard edits.indices.contains(site.block) else { return [] }
    return edits[site.block].first { $0.component == site.component }?.edits ?? []
  }
}
