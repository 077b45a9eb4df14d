// SPDX-License-Identifier: Apache-2.0
// Which tokens of a batch each intervention edits.

import ReFTTensor

/// The row sets of a batch, one per adapter of a stack, intervention, parameter set and weight, and per
/// sequence for plugins that mix rows.
struct RowPlan {
  struct Key: Hashable {
    /// Which of the batch's stacks of adapters.
    var stack: Int
    /// Which adapter of the stack.
    var place: Int
    var intervention: Int
    var part: PositionPart
    /// How much of the change of its rows counts.
    var weight: Float
    /// −1 where rows of all sequences may go into one call.
    var sequence: Int
  }

  /// The stacks of adapters that act on the batch, each once, in the order of their first sequences.
  private(set) var stacks: [AdapterStack] = []
  /// The adapters of the batch, each once, in the order of their first sequences.
  private(set) var adapters: [Adapter] = []
  private(set) var rows: [Key: RowSet] = [:]
  /// How many sequences the batch has.
  let sequenceCount: Int

  init(_ sequences: [SequenceEdit]) throws(ReFTError) {
    sequenceCount = sequences.count
    for (index, sequence) in sequences.enumerated() {
      let stack = sequence.adapters.acting
      guard !stack.isEmpty else { continue }
      let number: Int
      if let known = stacks.firstIndex(where: { $0.isSame(as: stack) }) {
        number = known
      } else {
        number = stacks.count
        try stack.checkUpdates()
        stacks.append(stack)
      }
      for (place, part) in stack.parts.enumerated() {
        _ = self.number(of: part.adapter)
        for intervention in part.adapter.specs.indices {
          let key = Key(
            stack: number,
            place: place,
            intervention: intervention,
            part: PositionPart(.all),
            weight: 1,
            sequence: -1
          )
          try add(sequence, index: index, key, of: part.adapter)
        }
      }
    }
  }

  /// The number of an adapter in the batch.
  private mutating func number(of adapter: Adapter) -> Int {
    if let known = adapters.firstIndex(where: { $0 === adapter }) { return known }
    adapters.append(adapter)
    return adapters.count - 1
  }

  private mutating func add(
    _ sequence: SequenceEdit,
    index: Int,
    _ first: Key,
    of adapter: Adapter
  ) throws(ReFTError) {
    let number = number(of: adapter)
    let spec = adapter.specs[first.intervention]
    let mixesRows = adapter.units.contains {
      $0.intervention == first.intervention && !$0.plugin.capabilities.contains(.rowwise)
    }
    for edited in try positions(of: sequence, spec: spec, tokenizer: adapter.tokenizer) {
      var key = first
      key.part = spec.part(of: edited, isDecoded: edited.position >= sequence.promptLength)
      key.weight = edited.weight
      key.sequence = mixesRows ? index : -1
      let set = rows[key] ?? RowSet()
      rows[key] = set
      set.append(
        edited,
        of: sequence,
        index: index,
        adapter: number,
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
    if let weight = spec.positions.decodeWeight {
      for position in max(
        range.lowerBound,
        sequence.promptLength
      )..<max(
        range.upperBound,
        sequence.promptLength
      ) {
        // Generated tokens continue the end of the prompt, so they share the suffix's parameters.
        result.append(
          EditedPosition(position: position, group: .suffix, location: position, weight: weight)
        )
      }
    }
    return result
  }
}
