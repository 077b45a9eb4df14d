// SPDX-License-Identifier: Apache-2.0
// GPT-NeoX and Pythia: attention and MLP side by side, each with a LayerNorm of the block's input, heads
// that turn in part, biases everywhere. Folders hold queries, keys and values of a head together.

import ReFTTensor

enum GPTNeoX: Architecture {
  static let names: [ModelFormat: String] = [.gguf: "gptneox", .huggingFace: "gpt_neox"]

  static func fileNames(_ format: ModelFormat) -> FileNames {
    FileNames(
      format,
      family: "gptneox",
      root: "gpt_neox.",
      outside: ["output": "embed_out"],
      parts: [
        "token_embd": "embed_in", "output_norm": "final_layer_norm",
        "attn_qkv": "attention.query_key_value", "attn_output": "attention.dense",
        "ffn_up": "mlp.dense_h_to_4h", "ffn_down": "mlp.dense_4h_to_h",
      ],
      keys: [
        "rotated": [
          "partial_rotary_factor", "rotary_pct", "rope_parameters.partial_rotary_factor",
        ],
        "rope.freq_base": ["rope_theta", "rotary_emb_base", "rope_parameters.rope_theta"],
        "attention.layer_norm_epsilon": ["layer_norm_eps"],
        "use_parallel_residual": ["use_parallel_residual"],
      ]
    )
  }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    let sizes = try ModelSizes(file)
    let norm = try NormKind(layer: file)
    let isParallel = try file.flag("use_parallel_residual", default: true)
    let share = try file.number("rotated", default: 0.25)
    let rotation = try sizes.rotation(file, width: Int(share * Double(sizes.headSize)))
    let activation = try sizes.activation(file, default: .gelu)
    try file.expect(["expert_count": .int(0), "attention.causal": .bool(true)])
    let isFolder = file.source.format == .huggingFace
    let embedding = try sizes.embedding(file)
    return try sizes.plan(
      "gptneox",
      embedding: embedding,
      finalNorm: try file.norm("output_norm", size: sizes.hidden, like: norm),
      head: try sizes.head(file, embedding: embedding, tiesByDefault: false)
    ) { index throws(ReFTError) in
      let part = "blk.\(index)."
      // The causal mask and the frequencies of the rotation, which some folders keep.
      for name in ["bias", "masked_bias", "rotary_emb.inv_freq"] where isFolder {
        file.ignore(part + "attention", name)
      }
      return ModelPlan.Block(
        attentionNorm: try file.norm(part + "attn_norm", size: sizes.hidden, like: norm),
        attention: try sizes.attention(
          file,
          block: index,
          isFolder ? .byHead : .stacked,
          rotation: rotation
        ),
        mlpNorm: try file.norm(part + "ffn_norm", size: sizes.hidden, like: norm),
        mlp: try sizes.mlp(file, block: index, activation, .plain),
        isParallel: isParallel
      )
    }
  }
}
