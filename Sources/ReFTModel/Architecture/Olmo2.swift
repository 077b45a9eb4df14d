// SPDX-License-Identifier: Apache-2.0
// OLMo 2: norms behind the branches alone, before they are added, and of all queries and all keys.

import ReFTTensor

enum Olmo2: Architecture {
  static let names: [ModelFormat: String] = [.gguf: "olmo2", .huggingFace: "olmo2"]

  static func fileNames(_ format: ModelFormat) -> FileNames {
    FileNames(
      format,
      family: "olmo2",
      parts: [
        "post_attention_norm": "post_attention_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
      ]
    )
  }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    let sizes = try ModelSizes(file)
    let norm = try NormKind(rms: file)
    let rotation = try sizes.rotation(file)
    let activation = try sizes.activation(file, default: .silu)
    try sizes.checkConstants(file)
    let (queries, keys) = (sizes.heads * sizes.headSize, sizes.keyValueHeads * sizes.headSize)
    let embedding = try sizes.embedding(file)
    return try sizes.plan(
      "olmo2",
      embedding: embedding,
      finalNorm: try file.norm("output_norm", size: sizes.hidden, like: norm),
      head: try sizes.head(file, embedding: embedding, tiesByDefault: false)
    ) { index throws(ReFTError) in
      let part = "blk.\(index)."
      return ModelPlan.Block(
        attention: try sizes.attention(file, block: index, rotation: rotation)
          .withNorms(file, part, of: queries, keys, norm),
        attentionPostNorm: try file.norm(
          part + "post_attention_norm",
          size: sizes.hidden,
          like: norm
        ),
        mlp: try sizes.mlp(file, block: index, activation),
        mlpPostNorm: try file.norm(part + "post_ffw_norm", size: sizes.hidden, like: norm)
      )
    }
  }
}
