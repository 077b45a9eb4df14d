// SPDX-License-Identifier: Apache-2.0
// Edits the hidden states of a batch through plugins, and carries gradients back through them.

public import ReFTModel
public import ReFTTensor

/// The edits of one batch, in which each sequence may carry another adapter.
///
/// A session serves one pass at a time, from one thread: an inference step, or a forward pass with
/// its backward pass. Rows of row-wise plugins have the same bits whatever else is in the batch.
public final class EditSession: ProductEditor {
  /// What the pass is for.
  public enum Mode {
    /// Edits alone; dropout is off.
    case inference
    /// Edits with dropout; the backward pass adds to `gradients`, which have the layout of the one
    /// adapter's parameters. The random numbers are those of (key, step).
    case training(gradients: FloatBuffer, randomKey: UInt64, randomStep: UInt64)
  }

  /// The sites at which this batch has rows to edit.
  public let sites: Set<Site>
  /// Whether a plugin looks at rows together, so that none may be left out.
  public let needsAllRows: Bool
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
  /// - Throws: `.usage` for positions that a prompt does not have, for training with several
  ///   adapters or with a plugin without derivative; `.misbehaved` when a plugin cannot plan.
  public init(
    _ sequences: [SequenceEdit],
    mode: Mode = .inference,
    dropsUpdates: Bool = true
  ) throws(ReFTError) {
    let plan = try RowPlan(sequences)
    let context: SiteEdit.Context
    switch mode {
    case .inference: context = SiteEdit.Context()
    case .training(let buffer, let randomKey, let randomStep):
      context = SiteEdit.Context(
        randomKey: randomKey,
        step: randomStep,
        gradients: try GradientPointers(buffer, adapters: plan.adapters)
      )
    }
    let memory = EditMemory()
    var edits: [Site: [SiteEdit]] = [:]
    for (number, adapter) in plan.adapters.enumerated() {
      for unit in adapter.units {
        for (key, rows) in plan.sets(adapter: number, unit: unit) {
          let state = key.sequence >= 0 ? sequences[key.sequence].state : nil
          edits[unit.site, default: []].append(
            try SiteEdit(unit: unit, rows: rows, context, memory: memory, state: state)
          )
        }
      }
    }
    rowSets = Array(plan.rows.values)
    let all = edits.values.flatMap { $0 }
    try memory.reserve(
      floats: all.map { $0.rowCount * $0.unit.dim }.max() ?? 0,
      scratchBytes: all.map(\.scratchByteCount).max() ?? 0
    )
    var byBlock = [[(component: Component, edits: [any RowEdit])]](
      repeating: [],
      count: (edits.keys.map(\.block).max() ?? -1) + 1
    )
    for (site, list) in edits { byBlock[site.block].append((site.component, list)) }
    self.edits = byBlock
    sites = Set(edits.keys)
    needsAllRows = all.contains { !$0.unit.plugin.capabilities.contains(.rowwise) }
    let isTraining = context.gradients != nil
    let loras = LoRAPlan(sequences)
    sharedPrefixLimit = min(
      plan.sharedPrefixLimit(isTraining: isTraining),
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
