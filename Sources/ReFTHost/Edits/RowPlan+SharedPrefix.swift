// SPDX-License-Identifier: Apache-2.0
// How many leading tokens of a batch's sequences are edited alike, so that equal tokens can share
// one row of the pass.

extension RowPlan {
  /// The row sets of a unit, in the order of the sequences.
  func sets(stack: Int, place: Int, unit: AdapterUnit) -> [(key: Key, rows: RowSet)] {
    rows.filter {
      $0.key.stack == stack && $0.key.place == place
        && $0.key.intervention == unit.intervention && $0.key.part == unit.part
    }.sorted {
      ($0.key.sequence, $0.key.weight) < ($1.key.sequence, $1.key.weight)
    }.map { ($0.key, $0.value) }
  }

  /// The first position that is not edited alike in all sequences; `Int.max` where there is none.
  ///
  /// An edit depends on its sequence when the plugin mixes rows, or when training may draw random
  /// numbers: wherever the plugin's instance does not promise otherwise. Where it does not, an edit
  /// depends on the row's location, its prompt's length and its sequence's subspace in inference too. Where an auxiliary loss is
  /// counted, each row counts for its own sequence.
  func sharedPrefixLimit(isTraining: Bool, countsAuxiliary: Bool) -> Int {
    guard sequenceCount > 1 else { return Int.max }
    var edits: [[Int32: Set<Edit>]] = Array(repeating: [:], count: sequenceCount)
    for (number, (key, set)) in rows.enumerated() {
      let draws = mayDraw(key)
      let dependsOnSequence =
        key.sequence >= 0 || isTraining && draws || countsAuxiliary && addsLoss(key)
        || units(of: key).contains(where: \.needsCounterpart)
      for index in 0..<set.count {
        let sequence = set.sequences[index]
        edits[sequence][set.positions[index], default: []].insert(
          Edit(
            number: number,
            sequence: dependsOnSequence ? sequence : -1,
            location: draws ? set.runningLocations[index] : -1,
            length: draws ? set.lengths[index] : -1,
            subspace: draws ? set.subspaces[index] : -1
          )
        )
      }
    }
    var limit = Int.max
    for other in edits.dropFirst() {
      for position in Set(edits[0].keys).union(other.keys)
      where edits[0][position] != other[position] {
        limit = min(limit, Int(position))
      }
    }
    return limit
  }

  /// What decides about an edit of a row, beside the row.
  private struct Edit: Hashable {
    var number, sequence: Int
    var location, length, subspace: Int32
  }

  /// Whether training may give a row other numbers in another sequence.
  private func mayDraw(_ key: Key) -> Bool {
    units(of: key).contains(where: \.instance.dependsOnSequence)
  }

  /// Whether a row adds to an auxiliary loss.
  private func addsLoss(_ key: Key) -> Bool { units(of: key).contains { $0.auxiliaryWeight > 0 } }

  private func units(of key: Key) -> [AdapterUnit] {
    stacks[key.stack].parts[key.place].adapter.units.filter {
      $0.intervention == key.intervention && $0.part == key.part
    }
  }
}
