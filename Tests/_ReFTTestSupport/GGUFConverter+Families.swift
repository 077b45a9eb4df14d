// SPDX-License-Identifier: Apache-2.0
// What converters rename, reorder and change, family by family.

import ReFTTensor

extension GGUFConverter {
  /// What GGUF calls the family.
  var family: String {
    switch kind {
    case "mistral": "llama"
    case "gemma3_text": "gemma3"
    case "gpt_neox": "gptneox"
    case "roberta", "distilbert": "bert"
    default: kind
    }
  }

  /// Rows of RoBERTa's positions that no token has.
  var firstPosition: Int {
    kind == "roberta" ? Int(number("pad_token_id") ?? 0) + 1 : 0
  }

  /// What GGUF calls a tensor; nil for one that it leaves out.
  func name(_ name: String) -> String? {
    var words = name.split(separator: ".").map(String.init)
    let suffix = "." + words.removeLast()
    let roots = [
      "gpt2": "transformer", "gpt_neox": "gpt_neox", "bert": "bert", "roberta": "roberta",
      "distilbert": "distilbert",
    ]
    if words.first == roots[kind] ?? "model" { words.removeFirst() }
    guard let place = words.firstIndex(where: { Int($0) != nil }) else {
      let part = words.joined(separator: ".")
      if kind == "distilbert", part.hasSuffix("classifier") { return nil }
      return (names[part] ?? Self.bodyNames[part] ?? part) + suffix
    }
    let part = words[(place + 1)...].joined(separator: ".")
    return "blk.\(words[place]).\(names[part] ?? Self.blockNames[part] ?? part)" + suffix
  }

  private static let bodyNames = [
    "embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output", "wte": "token_embd",
    "wpe": "position_embd", "ln_f": "output_norm", "embed_in": "token_embd",
    "embed_out": "output", "final_layer_norm": "output_norm",
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
    "pooler.dense": "cls", "classifier": "cls.output", "classifier.dense": "cls",
    "classifier.out_proj": "cls.output",
  ]

  private static let blockNames = [
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.qkv_proj": "attn_qkv", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "mlp.gate_up_proj": "ffn_up", "ln_1": "attn_norm", "ln_2": "ffn_norm",
    "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down", "attention.query_key_value": "attn_qkv",
    "attention.dense": "attn_output", "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down", "attention.self.query": "attn_q",
    "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm", "attention.q_lin": "attn_q",
    "attention.k_lin": "attn_k", "attention.v_lin": "attn_v", "attention.out_lin": "attn_output",
    "sa_layer_norm": "attn_output_norm", "ffn.lin1": "ffn_up", "ffn.lin2": "ffn_down",
    "output_layer_norm": "layer_output_norm",
  ]

  /// Names that mean something else in a family.
  private var names: [String: String] {
    switch kind {
    case "gemma2", "gemma3_text", "olmo2":
      [
        "post_attention_layernorm": "post_attention_norm",
        "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm",
      ]
    default: [:]
    }
  }

  /// A tensor as GGUF holds it.
  func converted(_ tensor: StoredTensor, _ name: String) -> (shape: [Int], values: [Float]) {
    let (shape, values) = (tensor.shape, tensor.floats())
    let columns = shape.count == 2 ? shape[1] : 1
    if family == "llama", name.contains("attn_q.") || name.contains("attn_k.") {
      return (shape, interleaved(values, columns: columns))
    }
    if family.hasPrefix("gemma"), name.hasSuffix("norm.weight") {
      return (shape, values.map { $0 + 1 })
    }
    if family == "gpt2", name.hasPrefix("blk."), shape.count == 2 {
      var turned: [Float] = []
      for column in 0..<columns {
        turned += stride(from: column, to: values.count, by: columns).map { values[$0] }
      }
      return ([columns, shape[0]], turned)
    }
    if family == "gptneox", name.contains("attn_qkv") {
      return (shape, unwoven(values, columns: columns))
    }
    if name == "position_embd.weight" {
      return ([shape[0] - firstPosition, columns], Array(values[(firstPosition * columns)...]))
    }
    return (shape, values)
  }

  /// Rows (half, pair) of each head become rows (pair, half).
  private func interleaved(_ values: [Float], columns: Int) -> [Float] {
    var out = values
    for row in 0..<values.count / columns {
      let (head, place) = (row / headSize, row % headSize)
      let target = head * headSize + place % (headSize / 2) * 2 + place / (headSize / 2)
      for column in 0..<columns {
        out[target * columns + column] = values[row * columns + column]
      }
    }
    return out
  }

  /// Rows (head, part) become rows (part, head).
  private func unwoven(_ values: [Float], columns: Int) -> [Float] {
    let size = headSize * columns
    var out: [Float] = []
    for part in 0..<3 {
      for head in 0..<heads {
        let start = (head * 3 + part) * size
        out += values[start..<start + size]
      }
    }
    return out
  }
}
