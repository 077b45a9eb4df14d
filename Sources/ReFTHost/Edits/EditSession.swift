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
  ///   - trace: is told what the edits change; nil where nobody asks.
  /// - Throws: `.usage` for positions that a prompt does not have, for training with several
  ///   adapters or with a plugin without derivative; `.misbehaved` when a plugin cannot plan.
  public init(
    _ sequences: [SequenceEdit],
    mode: Mode = .inference,
    dropsUpdates: Bool = true,
    trace: EditTrace? = nil
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
    var chains = [[Site: [EditChain]]](repeating: [:], count: plan.stacks.count)
    for (number, stack) in plan.stacks.enumerated() {
      for (place, part) in stack.parts.enumerated() {
        var own: [Site: EditChain] = [:]
        for unit in part.adapter.units {
          for (key, rows) in plan.sets(stack: number, place: place, unit: unit) {
            let empty = EditChain(strength: part.strength, name: part.name, edits: [])
            let edit = try SiteEdit(
              unit: unit,
              rows: rows,
              context,
              memory: memory,
              state: key.sequence >= 0 ? sequences[key.sequence].state : nil
            )
            edit.strength = key.weight
            own[unit.site, default: empty].edits.append(edit)
          }
        }
        for (site, chain) in own { chains[number][site, default: []].append(chain) }
      }
    }
    let all = chains.flatMap { $0.values.flatMap { $0.flatMap(\.edits) } }
    var edits: [Site: [any RowEdit]] = [:]
    for (stack, list) in zip(plan.stacks, chains) {
      for (site, chains) in list {
        edits[site, default: []] += try stack.rule.edits(of: chains, at: site)
      }
    }
    if let trace {
      let numbers = sequences.enumerated().map { Int($1.key ?? Int64($1.example ?? Int32($0))) }
      let rows = Dictionary(grouping: all, by: \.unit.site).mapValues { $0.map(\.rows) }
      for (site, list) in edits {
        edits[site] = [
          TracedEdits(list, rows[site] ?? [], at: site, numbers: numbers, trace: trace)
        ]
      }
    }
    rowSets = Array(plan.rows.values)
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
    // A trace is to be whole: each token has a row of its own.
    needsAllRows =
      trace != nil || all.contains { !$0.unit.plugin.capabilities.contains(.rowwise) }
    let isTraining = context.gradients != nil
    let loras = LoRAPlan(sequences)
    sharedPrefixLimit =
      trace != nil
      ? 0
      : min(
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
