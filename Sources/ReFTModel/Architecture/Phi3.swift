// SPDX-License-Identifier: Apache-2.0
// Phi 3 and what is built like it: Llama's blocks with queries, keys and values in one tensor, gate and
// up in another. Its long contexts scale rotations in a way that is refused.

import ReFTTensor

enum Phi3: Architecture {
  static let names: [ModelFormat: String] = [.gguf: "phi3", .huggingFace: "phi3"]

  static func fileNames(_ format: ModelFormat) -> FileNames {
    FileNames(
      format,
      family: "phi3",
      parts: ["attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"],
      keys: [
        "rotated": ["partial_rotary_factor"],
        "original": ["original_max_position_embeddings"],
      ]
    )
  }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    let sizes = try ModelSizes(file)
    let norm = try NormKind(rms: file)
    for part in ["rope_factors_long", "rope_factors_short"] where file.tensor(part) != nil {
      throw .unknownRotation(
        dimensions: sizes.headSize,
        headSize: sizes.headSize,
        scaling: "longrope",
        file.path
      )
    }
    let share = try file.number("rotated", default: 1)
    let rotation = try sizes.rotation(file, width: Int(share * Double(sizes.headSize)))
    _ = file.has("original")
    let window = try file.size("attention.sliding_window", in: 0...(1 << 26), default: 0)
    let mask = window == 0 ? ModelPlan.Mask.causal : .window(window)
    let activation = try sizes.activation(file, default: .silu)
    try sizes.checkConstants(file)
    let embedding = try sizes.embedding(file)
    return try sizes.plan(
      "phi3",
      embedding: embedding,
      finalNorm: try file.norm("output_norm", size: sizes.hidden, like: norm),
      head: try sizes.head(file, embedding: embedding, tiesByDefault: false)
    ) { index throws(ReFTError) in
      let part = "blk.\(index)."
      return ModelPlan.Block(
        attentionNorm: try file.norm(part + "attn_norm", size: sizes.hidden, like: norm),
        attention: try sizes.attention(
          file,
          block: index,
          .stacked,
          rotation: rotation,
          mask: mask
        ),
        mlpNorm: try file.norm(part + "ffn_norm", size: sizes.hidden, like: norm),
        mlp: try sizes.mlp(file, block: index, activation, .stacked)
      )
    }
  }
}
