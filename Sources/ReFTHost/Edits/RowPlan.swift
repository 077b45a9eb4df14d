// SPDX-License-Identifier: Apache-2.0
// Which tokens of a batch each intervention edits.

import ReFTTensor

/// The row sets of a batch, one per adapter, intervention and group, and per sequence for plugins
/// that mix rows.
struct RowPlan {
  struct Key: Hashable {
    var adapter: Int
    var intervention: Int
    var group: PositionGroup
    /// −1 where rows of all sequences may go into one call.
    var sequence: Int
  }

  /// The adapters of the batch, each once, in the order of their first sequences.
  private(set) var adapters: [Adapter] = []
  private(set) var rows: [Key: RowSet] = [:]
  /// How many sequences the batch has.
  let sequenceCount: Int

  init(_ sequences: [SequenceEdit]) throws(ReFTError) {
    sequenceCount = sequences.count
    for (index, sequence) in sequences.enumerated() {
      guard let adapter = sequence.adapter else { continue }
      let number: Int
      if let known = adapters.firstIndex(where: { $0 === adapter }) {
        number = known
      } else {
        number = adapters.count
        adapters.append(adapter)
      }
      for intervention in adapter.specs.indices {
        try add(sequence, index: index, adapter: number, intervention: intervention)
      }
    }
  }

  private mutating func add(
    _ sequence: SequenceEdit,
    index: Int,
    adapter: Int,
    intervention: Int
  ) throws(ReFTError) {
    let spec = adapters[adapter].specs[intervention]
    let units = adapters[adapter].units
    let mixesRows = units.contains {
      $0.intervention == intervention && !$0.plugin.capabilities.contains(.rowwise)
    }
    for edited in try positions(of: sequence, spec: spec, tokenizer: adapters[adapter].tokenizer) {
      let key = Key(
        adapter: adapter,
        intervention: intervention,
        group: spec.groups.count > 1 ? edited.group : .all,
        sequence: mixesRows ? index : -1
      )
      let set = rows[key] ?? RowSet()
      rows[key] = set
      set.append(
        edited,
        of: sequence,
        index: index,
        adapter: adapter,
        locationCount: spec.positions.locationCount
      )
    }
  }

  /// The edited positions of a sequence that lie in the batch, ascending.
  private func positions(
    of sequence: SequenceEdit,
    spec: InterventionSpec,
    tokenizer: (any TokenText)?
  ) throws(ReFTError) -> [EditedPosition] {
    let range = sequence.position..<sequence.position + sequence.count
    var result: [EditedPosition] = []
    if range.lowerBound < sequence.promptLength {
      result = try spec.positions.rows(
        promptLength: sequence.promptLength,
        tokens: sequence.promptTokens,
        tokenizer: tokenizer
      ).filter { range.contains($0.position) }.sorted { $0.position < $1.position }
    }
    if spec.positions.editsDecodedTokens {
      for position in max(
        range.lowerBound,
        sequence.promptLength
      )..<max(
        range.upperBound,
        sequence.promptLength
      ) {
        // Generated tokens continue the end of the prompt, so they share the suffix's parameters.
        result.append(EditedPosition(position: position, group: .suffix, location: position))
      }
    }
    return result
  }
}
