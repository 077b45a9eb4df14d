// SPDX-License-Identifier: Apache-2.0
// GPT-2: LayerNorm before each branch, a learned row for each position, biases everywhere, an MLP
// without a gate. Its folders hold matrices transposed, with queries, keys and values in one.

import ReFTTensor

enum GPT2: Architecture {
  static let names: [ModelFormat: String] = [.gguf: "gpt2", .huggingFace: "gpt2"]

  static func fileNames(_ format: ModelFormat) -> FileNames {
    FileNames(
      format,
      family: "gpt2",
      root: "transformer.",
      blocks: "h.",
      parts: [
        "token_embd": "wte", "position_embd": "wpe", "output_norm": "ln_f", "attn_norm": "ln_1",
        "attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj", "ffn_norm": "ln_2",
        "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj",
      ],
      keys: [
        "block_count": ["n_layer"], "embedding_length": ["n_embd"],
        "feed_forward_length": ["n_inner"], "context_length": ["n_positions"],
        "attention.head_count": ["n_head"], "activation": ["activation_function"],
        "attention.layer_norm_epsilon": ["layer_norm_epsilon"], "older_context": ["n_ctx"],
        "scaled": ["scale_attn_weights"], "scaled_by_block": ["scale_attn_by_inverse_layer_idx"],
        "upcast": ["reorder_and_upcast_attn"], "crossed": ["add_cross_attention"],
      ]
    )
  }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    let sizes = try ModelSizes(file, widening: 4)
    let norm = try NormKind(layer: file)
    let activation = try sizes.activation(file, default: .geluTanh)
    for key in ["older_context", "upcast"] { _ = file.has(key) }
    try file.expect([
      "scaled": .bool(true), "scaled_by_block": .bool(false), "crossed": .bool(false),
    ])
    try sizes.checkConstants(file)
    var embedding = try sizes.embedding(file)
    embedding.positions = ModelPlan.Positions(
      weight: try file.matrix("position_embd", rows: sizes.context, columns: sizes.hidden),
      first: 0
    )
    // Converters to GGUF turn the matrices round.
    let isFolder = file.source.format == .huggingFace
    return try sizes.plan(
      "gpt2",
      embedding: embedding,
      finalNorm: try file.norm("output_norm", size: sizes.hidden, like: norm),
      head: try sizes.head(file, embedding: embedding, tiesByDefault: true)
    ) { index throws(ReFTError) in
      let part = "blk.\(index)."
      // The causal mask, which some folders keep.
      for name in ["bias", "masked_bias"] where isFolder { file.ignore(part + "attn", name) }
      return ModelPlan.Block(
        attentionNorm: try file.norm(part + "attn_norm", size: sizes.hidden, like: norm),
        attention: try sizes.attention(
          file,
          block: index,
          isFolder ? .transposed : .stacked,
          rotation: nil
        ),
        mlpNorm: try file.norm(part + "ffn_norm", size: sizes.hidden, like: norm),
        mlp: try sizes.mlp(file, block: index, activation, isFolder ? .transposed : .plain)
      )
    }
  }
}
