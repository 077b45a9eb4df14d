// SPDX-License-Identifier: Apache-2.0
// The updates of products that the adapters of a batch bring.

import ReFTModel
import ReFTTensor

/// The LoRAs of a batch's sequences.
struct LoRAPlan {
  /// Sequences that carry the same LoRA with the same strength.
  private struct Group {
    let adapter: Adapter
    let strength: Float
    /// Which adapter of its sequences' lists it is, for lists that have one more than once.
    let place: Int
    var runs: [UpdatedTokens.Run] = []
  }

  private var groups: [Group] = []
  /// Whether all sequences carry the same.
  private var isSame = true

  init(_ sequences: [SequenceEdit]) {
    for (index, sequence) in sequences.enumerated() {
      let parts = sequence.adapters.acting.parts.filter { $0.adapter.lora != nil }
      guard !parts.isEmpty, sequence.count > 0 else { continue }
      let run = UpdatedTokens.Run(
        tokens: sequence.start..<sequence.start + sequence.count,
        position: sequence.position,
        example: sequence.example ?? Int32(truncatingIfNeeded: index)
      )
      for (place, part) in parts.enumerated() {
        let known = groups.firstIndex {
          $0.adapter === part.adapter && $0.strength == part.strength && $0.place == place
        }
        if known == nil {
          groups.append(Group(adapter: part.adapter, strength: part.strength, place: place))
        }
        groups[known ?? groups.count - 1].runs.append(run)
      }
    }
    isSame = groups.allSatisfy { $0.runs.count == sequences.count }
  }

  /// How many leading tokens are updated alike in all sequences.
  func sharedPrefixLimit(drops: Bool) -> Int {
    let draws = drops && groups.contains { ($0.adapter.lora?.spec.dropout ?? 0) > 0 }
    return isSame && !draws ? Int.max : 0
  }

  /// The updates; nil where there are none.
  func updates(gradients: FloatBuffer?, random: LoRA.Random?) -> LowRankUpdates? {
    // In the order of each sequence's own list, whatever its neighbours carry.
    let ordered = groups.sorted { $0.place < $1.place }
    return LowRankUpdates(
      ordered.flatMap { group -> [LowRankUpdate] in
        let tokens = UpdatedTokens(
          group.runs.sorted { $0.tokens.lowerBound < $1.tokens.lowerBound }
        )
        return group.adapter.lora?.updates(
          of: tokens,
          strength: group.strength,
          gradients: gradients,
          random: random
        ) ?? []
      }
    )
  }
}
