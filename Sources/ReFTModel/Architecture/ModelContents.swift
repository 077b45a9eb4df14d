// SPDX-License-Identifier: Apache-2.0
// What a file holds besides what the engine reads: nothing of it is ignored in silence.

import ReFTTensor

/// The check that a llama file holds no tensor and no key whose meaning the engine would drop.
struct ModelContents {
  let gguf: GGUFFile
  let layers: Int

  private var path: String { gguf.file.path }

  /// The tensors of one block that the engine reads.
  private static let ofBlock = [
    "attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up",
    "ffn_down",
  ]

  /// The other tensors that the engine reads.
  private static let ofModel = ["token_embd", "output_norm", "output", "rope_freqs"]

  /// Tensors of a block that change nothing: old converters kept the frequencies of the rotation,
  /// which follow from its base.
  private static let harmlessOfBlock = ["attn_rot_embd"]

  /// The keys of the family that the engine reads, and those that tell where a model comes from.
  private static let keys: Set<String> = [
    "block_count", "embedding_length", "attention.head_count", "attention.head_count_kv",
    "attention.key_length", "attention.value_length", "feed_forward_length", "context_length",
    "rope.freq_base", "rope.dimension_count", "rope.scaling.type", "rope.scaling.factor",
    "rope.scale_linear", "attention.layer_norm_rms_epsilon", "vocab_size",
    "rope.scaling.original_context_length", "rope.scaling.finetuned", "expert_count",
  ]

  /// Keys whose meaning the engine has only at one value.
  private static let neutral: [String: Double] = [
    "expert_used_count": 0, "expert_shared_count": 0, "attention.causal": 1,
    "attention.clamp_kqv": 0, "attention.max_alibi_bias": 0, "use_parallel_residual": 0,
    "logit_scale": 1, "embedding_scale": 1, "residual_scale": 1, "attn_logit_softcapping": 0,
    "final_logit_softcapping": 0, "attention.sliding_window": 0, "rope.scaling.attn_factor": 1,
  ]

  /// Refuses what the file says or holds beyond what the engine computes.
  ///
  /// - Throws: `badData` naming the key or tensor.
  func check(architecture: String) throws(ReFTError) {
    for key in gguf.metadata.keys.sorted() where key.hasPrefix(architecture + ".") {
      let name = String(key.dropFirst(architecture.count + 1))
      if Self.keys.contains(name) { continue }
      let number = gguf.double(key) ?? gguf.bool(key).map { $0 ? 1 : 0 }
      guard let neutral = Self.neutral[name], number == neutral else {
        throw .unusedKey(key, Self.text(gguf.metadata[key]), path)
      }
    }
    var known = Set(Self.ofModel.map { $0 + ".weight" })
    for block in 0..<layers {
      for name in Self.ofBlock + Self.harmlessOfBlock {
        known.insert("blk.\(block).\(name).weight")
      }
    }
    let unused = gguf.tensors.map(\.name).filter { !known.contains($0) }
    guard unused.isEmpty else { throw .unusedTensors(unused, path) }
  }

  /// A value as a user would write it.
  private static func text(_ value: GGUFValue?) -> String {
    switch value {
    case .int(let value): "\(value)"
    case .uint(let value): "\(value)"
    case .double(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .string(let value): "'\(value.prefix(40))'"
    default: "a list"
    }
  }

  /// Refuses files that are no whole model of the family, with the cause.
  ///
  /// - Throws: `badData` for a part of a split model, an adapter, or experts.
  static func checkKind(_ gguf: GGUFFile, architecture: String) throws(ReFTError) {
    let path = gguf.file.path
    if let count = gguf.int("split.count"), count > 1 {
      throw .splitFile(number: gguf.int("split.no").map { $0 + 1 }, count: count, path)
    }
    if let kind = gguf.string("general.type"), kind != "model" {
      throw .notAModel(kind, path)
    }
    if let experts = gguf.int(architecture + ".expert_count"), experts > 0 {
      throw .hasExperts(experts, path)
    }
  }

  /// Refuses a tokenizer that makes ids which have no row in the embedding matrix.
  ///
  /// - Throws: `badData` with both numbers.
  static func checkVocabulary(_ gguf: GGUFFile, rows: Int) throws(ReFTError) {
    guard let tokens = gguf.strings("tokenizer.ggml.tokens"), tokens.count > rows else { return }
    throw .moreTokensThanRows(tokens: tokens.count, rows: rows, gguf.file.path)
  }
}
