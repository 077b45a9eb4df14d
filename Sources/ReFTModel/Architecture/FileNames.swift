// SPDX-License-Identifier: Apache-2.0
// What keys and tensors are called in each format. The names of GGUF are the ones that architectures
// use; here stands what Hugging Face calls the same.

import ReFTTensor

/// The names of one family in one format.
struct FileNames {
  let format: ModelFormat
  /// The prefix of the family's keys in GGUF.
  let family: String
  /// What stands before all names of the body in Hugging Face's folders, where anything does.
  let root: String
  /// What stands before the number of a block.
  let blocks: String
  /// What parts outside the body are called there.
  let outside: [String: String]
  /// What the other parts are called there, besides the common ones.
  let parts: [String: String]
  /// The same for keys.
  let keys: [String: [String]]

  init(
    _ format: ModelFormat,
    family: String,
    root: String = "model.",
    blocks: String = "layers.",
    outside: [String: String] = ["output": "lm_head"],
    parts: [String: String] = [:],
    keys: [String: [String]] = [:]
  ) {
    (self.format, self.family) = (format, family)
    (self.root, self.blocks, self.outside) = (root, blocks, outside)
    // A name that a family gives to another part is no longer the common one's.
    let own = Set(parts.values)
    self.parts = Self.commonParts.filter { !own.contains($0.value) }.merging(parts) { $1 }
    self.keys = Self.commonKeys.merging(keys) { $1 }
  }

  private static let commonKeys: [String: [String]] = [
    "name": ["_name_or_path"], "block_count": ["num_hidden_layers"],
    "embedding_length": ["hidden_size"], "feed_forward_length": ["intermediate_size"],
    "context_length": ["max_position_embeddings"],
    "attention.head_count": ["num_attention_heads"],
    "attention.head_count_kv": ["num_key_value_heads"], "attention.key_length": ["head_dim"],
    "attention.layer_norm_rms_epsilon": ["rms_norm_eps"],
    "rope.freq_base": ["rope_theta", "rope_parameters.rope_theta"],
    "rope.scaling.type": [
      "rope_scaling.rope_type", "rope_scaling.type", "rope_parameters.rope_type",
    ],
    "rope.scaling.factor": ["rope_scaling.factor", "rope_parameters.factor"],
    "rope.scaling.low": ["rope_scaling.low_freq_factor", "rope_parameters.low_freq_factor"],
    "rope.scaling.high": ["rope_scaling.high_freq_factor", "rope_parameters.high_freq_factor"],
    "rope.scaling.original": [
      "rope_scaling.original_max_position_embeddings",
      "rope_parameters.original_max_position_embeddings",
    ],
    "rope.dimension_count": [], "tied": ["tie_word_embeddings"],
    "activation": ["hidden_act", "hidden_activation"],
    "final_logit_softcapping": ["final_logit_softcapping"],
    "attn_logit_softcapping": ["attn_logit_softcapping"],
    "attention.sliding_window": ["sliding_window"], "vocab_size": ["vocab_size"],
    "bidirectional": ["use_bidirectional_attention"],
  ]

  /// Keys of config.json that say how a model came about or how a program is to run it.
  private static let harmless: Set<String> = [
    "_name_or_path", "_attn_implementation_autoset", "_sliding_window_pattern", "architectures",
    "attention_bias", "auto_map", "bos_token_id", "cache_implementation", "directionality",
    "dtype", "eos_token_id", "finetuning_task", "gradient_checkpointing", "initializer_range",
    "is_llama_config", "mlp_bias", "model_type", "output_attentions", "output_hidden_states",
    "output_past", "pad_token_id", "pretraining_tp", "problem_type", "return_dict",
    "sliding_window_pattern", "tie_weights_", "torch_dtype", "transformers_version",
    "unk_token_id", "use_bfloat16", "use_cache",
  ]

  /// Beginnings of such keys: names of classes, tasks, ways of pooling that a program may choose.
  private static let harmlessBeginnings = [
    "auto_map.", "id2label.", "label2id.", "pooler_", "summary_", "task_specific_params.",
    "transformers.js_config",
  ]

  /// Whether a key of config.json changes nothing here; dropouts are of training alone.
  private static func isHarmless(_ key: String) -> Bool {
    harmless.contains(key) || key.contains("dropout") || key.hasSuffix("_pdrop")
      || harmlessBeginnings.contains { key.hasPrefix($0) }
  }

  /// What a key may be called in the file; the first that is there counts.
  func keys(_ key: String) -> [String] {
    switch format {
    case .gguf: [family + "." + key]
    case .huggingFace: keys[key] ?? []
    }
  }

  /// Whether a key of the file says something about what the model computes.
  func concernsModel(_ key: String) -> Bool {
    switch format {
    case .gguf: key.hasPrefix(family + ".")
    case .huggingFace: !Self.isHarmless(key)
    }
  }

  private static let commonParts: [String: String] = [
    "token_embd": "embed_tokens", "output_norm": "norm", "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "attn_rot_embd": "self_attn.rotary_emb",
  ]

  /// What a part's tensors are called in the file, without `.weight` and `.bias`.
  func tensor(_ part: String, _ source: any TensorSource) -> String {
    guard format == .huggingFace else { return part }
    if let name = outside[part] { return name }
    // Some folders hold the bare body, without the head and without this prefix.
    let isBare = source.tensor((parts["token_embd"] ?? "") + ".weight") != nil
    let prefix = isBare ? "" : root
    let words = part.split(separator: ".", maxSplits: 2)
    guard words.count == 3, words[0] == "blk" else { return prefix + (parts[part] ?? part) }
    let name = String(words[2])
    return prefix + blocks + "\(words[1])." + (parts[name] ?? name)
  }
}
