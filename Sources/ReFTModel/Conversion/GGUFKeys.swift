// SPDX-License-Identifier: Apache-2.0
// The keys of a GGUF file that say what a model computes, by its plan. What the format cannot say is
// found afterwards, by reading the keys again: see ModelPlan+Comparison.

import Foundation
import ReFTTensor

/// Writes down the sizes and constants of a plan.
struct GGUFKeys {
  let plan: ModelPlan
  /// What GGUF calls the family.
  let family: String

  /// The keys of the model, without those of its words.
  var values: [(key: String, value: GGUFOutputValue)] {
    [
      ("general.architecture", .string(family)), ("general.type", .string("model")),
      ("general.name", .string(plan.name)),
    ] + (sizes + constants + rotation + windows).map { ("\(family).\($0)", $1) }
  }

  private typealias Values = [(String, GGUFOutputValue)]

  private func size(_ number: Int) -> GGUFOutputValue { .uint32(UInt32(clamping: number)) }
  private func number(_ number: Double) -> GGUFOutputValue { .float32(Float(number)) }

  private var sizes: Values {
    let sizes = ModelConfiguration(plan, fileType: "")
    return [
      ("vocab_size", size(sizes.vocabularySize)), ("context_length", size(sizes.contextLength)),
      ("embedding_length", size(sizes.hiddenSize)), ("block_count", size(sizes.layers)),
      ("feed_forward_length", size(sizes.feedForwardSize)),
      ("attention.head_count", size(sizes.heads)),
      ("attention.head_count_kv", size(sizes.keyValueHeads)),
      ("attention.key_length", size(sizes.headSize)),
      ("attention.value_length", size(sizes.headSize)),
    ]
  }

  private var constants: Values {
    var values: Values = []
    if let norm = plan.norms.first {
      let key = norm.kind == .rms ? "layer_norm_rms_epsilon" : "layer_norm_epsilon"
      values.append(("attention." + key, .float32(norm.epsilon)))
    }
    if plan.isEncoder { values.append(("attention.causal", .bool(false))) }
    switch family {
    case "gptneox": values.append(("use_parallel_residual", .bool(plan.blocks[0].isParallel)))
    case "gemma2":
      let cap = plan.blocks[0].attention.softCap
      values.append(("attn_logit_softcapping", .float32(cap ?? 0)))
      values.append(("final_logit_softcapping", .float32(plan.head.language?.softCap ?? 0)))
    default: break
    }
    return values
  }

  /// The block whose rotation the keys without a suffix mean: one that sees all keys.
  private var widest: ModelPlan.Block? { plan.blocks.first { $0.attention.mask == .causal } }

  private var rotation: Values {
    let block = widest ?? plan.blocks[0]
    guard let rotation = block.attention.rotation else { return [] }
    var values: Values = [
      ("rope.dimension_count", size(rotation.width)), ("rope.freq_base", number(rotation.base)),
    ]
    if case .linear(let factor) = rotation.scaling {
      values.append(("rope.scaling.type", .string("linear")))
      values.append(("rope.scaling.factor", number(factor)))
    }
    return values
  }

  private var windows: Values {
    guard let block = plan.blocks.first(where: { $0.attention.mask.window != nil }),
      let window = block.attention.mask.window
    else { return family == "gemma3" ? [("attention.sliding_window_pattern", size(1))] : [] }
    var values: Values = [("attention.sliding_window", size(window))]
    guard family == "gemma3" else { return values }
    // Other readers take five with a window for one without, and a base of 10,000, as given.
    let pattern = plan.blocks.firstIndex { $0.attention.mask.window == nil } ?? plan.blocks.count
    if pattern != 5 { values.append(("attention.sliding_window_pattern", size(pattern + 1))) }
    if let base = block.attention.rotation?.base, base != 10_000 {
      values.append(("rope.freq_base_swa", number(base)))
    }
    return values
  }

  /// Llama 3's scaling of the rotation, as a divisor for each pair; nil where there is none, or where
  /// files of the family have no place for it.
  var rotationFactors: [Float]? {
    guard family == "llama", let rotation = plan.blocks[0].attention.rotation,
      case .llama3(let factor, let low, let high, let original) = rotation.scaling
    else { return nil }
    return (0..<rotation.turned / 2).map { pair in
      let frequency = pow(rotation.base, -2 * Double(pair) / Double(rotation.width))
      let turns = original * frequency / (2 * Double.pi)
      if turns > high { return 1 }
      if turns < low { return Float(factor) }
      let share = (turns - low) / (high - low)
      return Float(1 / ((1 - share) / factor + share))
    }
  }
}

extension ModelPlan.Mask {
  /// How many keys a query sees; nil without a window.
  var window: Int? { if case .window(let count) = self { count } else { nil } }
}
