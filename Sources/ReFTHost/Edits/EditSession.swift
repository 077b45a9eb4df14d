// SPDX-License-Identifier: Apache-2.0
// Edits the hidden states of a batch through plugins, and carries gradients back through them.

public import ReFTModel
public import ReFTTensor

/// The edits of one batch, in which each sequence may carry another adapter.
///
/// A session serves one pass at a time, from one thread: an inference step, or a forward pass with
/// its backward pass. Rows of row-wise plugins have the same bits whatever else is in the batch.
public final class EditSession: HiddenStateEditor {
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

  /// The edits of each block, in the order of the configuration: a decode step looks here at every
  /// block, and hashing a site would be a part of what an edit costs.
  private let edits: [[SiteEdit]]
  private let rowSets: [RowSet]
  private let memory: EditMemory
  private let step: UInt64
  private let gradients: GradientPointers?

  /// Prepares the edits of a batch.
  ///
  /// - Parameters:
  ///   - sequences: the sequences of the batch, in any order.
  ///   - mode: inference or training.
  /// - Throws: `.usage` for positions that a prompt does not have, for training with several
  ///   adapters or with a plugin without derivative; `.misbehaved` when a plugin cannot plan.
  public init(_ sequences: [SequenceEdit], mode: Mode = .inference) throws(ReFTError) {
    let plan = try RowPlan(sequences)
    var key: UInt64 = 0
    switch mode {
    case .inference:
      step = 0
      gradients = nil
    case .training(let buffer, let randomKey, let randomStep):
      step = randomStep
      key = randomKey
      gradients = try GradientPointers(buffer, adapters: plan.adapters)
    }
    var edits: [Site: [SiteEdit]] = [:]
    let isTraining = gradients != nil
    for (number, adapter) in plan.adapters.enumerated() {
      for unit in adapter.units {
        for (_, rows) in plan.sets(adapter: number, unit: unit) {
          edits[unit.site, default: []].append(
            try SiteEdit(unit: unit, rows: rows, randomKey: key, isTraining: isTraining)
          )
        }
      }
    }
    rowSets = Array(plan.rows.values)
    let all = edits.values.flatMap { $0 }
    var byBlock = [[SiteEdit]](repeating: [], count: (edits.keys.map(\.block).max() ?? -1) + 1)
    for (site, list) in edits { byBlock[site.block] += list }
    self.edits = byBlock
    sites = Set(edits.keys)
    needsAllRows = all.contains { !$0.unit.plugin.capabilities.contains(.rowwise) }
    sharedPrefixLimit = plan.sharedPrefixLimit(isTraining: isTraining)
    memory = try EditMemory(
      floats: all.map { $0.rowCount * $0.unit.dim }.max() ?? 0,
      scratchBytes: all.map(\.scratchByteCount).max() ?? 0
    )
  }

  /// Whether the batch has no row to edit.
  public var isEmpty: Bool { edits.isEmpty }

  /// Goes on to the next decoded token of each sequence, for a session whose batch has one decoded
  /// token of each: cheaper than a new session.
  public func advance() { for set in rowSets { set.advance() } }

  /// Replaces the rows of the batch that are edited at a site, in place.
  ///
  /// - Throws: `.misbehaved` when a plugin fails or leaves numbers that are not finite.
  public func edit(_ hidden: HiddenRows, at site: Site) throws {
    guard site.block < edits.count else { return }
    for edit in edits[site.block] where edit.unit.site.component == site.component {
      try checkWidth(hidden, edit, site)
      try edit.edit(hidden, memory: memory, step: step)
    }
  }

  /// Turns gradients of edited rows into gradients of the rows before the edit, in place, and adds
  /// to the parameters' gradients.
  ///
  /// - Throws: `.misbehaved` when a plugin fails or leaves numbers that are not finite.
  public func differentiate(_ gradient: HiddenRows, at site: Site) throws {
    guard let gradients else { throw ReFTError.notTraining() }
    guard site.block < edits.count else { return }
    for edit in edits[site.block].reversed() where edit.unit.site.component == site.component {
      try checkWidth(gradient, edit, site)
      try edit.differentiate(
        gradient,
        memory: memory,
        step: step,
        parameterGradients: gradients.base + edit.unit.parameters.lowerBound
      )
    }
  }

  private func checkWidth(
    _ rows: HiddenRows,
    _ edit: SiteEdit,
    _ site: Site
  ) throws(ReFTError) {
    guard rows.width == edit.unit.dim else {
      throw .widthMismatch(site: site, found: rows.width, expected: edit.unit.dim)
    }
  }
}
