// SPDX-License-Identifier: Apache-2.0
// The updates of products that the adapters of a batch bring.

import ReFTModel
import ReFTTensor

/// The LoRAs of a batch's sequences.
struct LoRAPlan {
  /// Sequences that carry the same LoRA.
  private struct Group {
    let adapter: Adapter
    var runs: [UpdatedTokens.Run] = []
  }

  private var groups: [Group] = []
  /// Whether all sequences carry the same.
  private var isSame = true

  init(_ sequences: [SequenceEdit]) {
    for (index, sequence) in sequences.enumerated() {
      guard let adapter = sequence.adapter, adapter.lora != nil, sequence.count > 0 else {
        continue
      }
      let run = UpdatedTokens.Run(
        tokens: sequence.start..<sequence.start + sequence.count,
        position: sequence.position,
        example: sequence.example ?? Int32(truncatingIfNeeded: index)
      )
      let known = groups.firstIndex { $0.adapter === adapter }
      if known == nil { groups.append(Group(adapter: adapter)) }
      groups[known ?? groups.count - 1].runs.append(run)
    }
    let carried = groups.reduce(0) { $0 + $1.runs.count }
    isSame = groups.isEmpty || groups.count == 1 && carried == sequences.count
  }

  /// How many leading tokens are updated alike in all sequences.
  func sharedPrefixLimit(drops: Bool) -> Int {
    let draws = drops && groups.contains { ($0.adapter.lora?.spec.dropout ?? 0) > 0 }
    return isSame && !draws ? Int.max : 0
  }

  /// The updates; nil where there are none.
  func updates(gradients: FloatBuffer?, random: LoRA.Random?) -> LowRankUpdates? {
    LowRankUpdates(
      groups.flatMap { group -> [LowRankUpdate] in
        let tokens = UpdatedTokens(
          group.runs.sorted { $0.tokens.lowerBound < $1.tokens.lowerBound }
        )
        return group.adapter.lora?.updates(
          of: tokens,
          strength: 1,
          gradients: gradients,
          random: random
        ) ?? []
      }
    )
  }
}
