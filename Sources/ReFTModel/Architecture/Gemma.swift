// SPDX-License-Identifier: Apache-2.0
// Gemma: Llama's blocks with a gate of GELU, weights of norms around zero, heads of their own size, and
// a scaled embedding that is also the head. What the three generations share stands here.

import ReFTTensor

enum Gemma: Architecture {
  static let names: [ModelFormat: String] = [.gguf: "gemma", .huggingFace: "gemma"]

  static func fileNames(_ format: ModelFormat) -> FileNames { FileNames(format, family: "gemma") }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    let sizes = try ModelSizes(file)
    let norm = try norm(file)
    let rotation = try sizes.rotation(file)
    // Early folders say 'gelu' where the models were made with its tanh form.
    _ = try sizes.activation(file, default: .geluTanh)
    try sizes.checkConstants(file)
    let embedding = try embedding(file, sizes)
    return try sizes.plan(
      "gemma",
      embedding: embedding,
      finalNorm: try file.norm("output_norm", size: sizes.hidden, like: norm),
      head: try sizes.head(file, embedding: embedding, tiesByDefault: true)
    ) { index throws(ReFTError) in
      let part = "blk.\(index)."
      return ModelPlan.Block(
        attentionNorm: try file.norm(part + "attn_norm", size: sizes.hidden, like: norm),
        attention: try sizes.attention(file, block: index, rotation: rotation),
        mlpNorm: try file.norm(part + "ffn_norm", size: sizes.hidden, like: norm),
        mlp: try sizes.mlp(file, block: index, .geluTanh)
      )
    }
  }

  /// Files in GGUF hold the weights with the one added.
  ///
  /// - Throws: `badData` naming the key.
  static func norm(_ file: ModelReader) throws(ReFTError) -> NormKind {
    try NormKind(rms: file, offset: file.source.format == .gguf ? 0 : 1)
  }

  /// Tokens' rows times √d.
  ///
  /// - Throws: `badData` naming the tensor.
  static func embedding(
    _ file: ModelReader,
    _ sizes: ModelSizes
  ) throws(ReFTError) -> ModelPlan.Embedding {
    try sizes.embedding(file, scale: Float(Double(sizes.hidden).squareRoot()))
  }

  /// 1 / √(a number that the file names, or the head size); the largest of a generation divides by
  /// the width of its stream per head, which GGUF does not say.
  ///
  /// - Throws: `badData` naming the key.
  static func attentionScale(
    _ file: ModelReader,
    _ sizes: ModelSizes,
    largest layers: Int
  ) throws(ReFTError) -> Float {
    let isLargest = sizes.layers == layers
    let usual = Double(isLargest ? sizes.hidden / sizes.heads : sizes.headSize)
    let scalar = try file.number("query_scalar", default: usual)
    return Float(1 / scalar.squareRoot())
  }

  /// What the second and third generation call their four norms and some keys.
  static func laterNames(
    _ format: ModelFormat,
    family: String,
    keys: [String: [String]] = [:]
  ) -> FileNames {
    FileNames(
      format,
      family: family,
      parts: [
        "post_attention_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
      ],
      keys: ["layer_types": ["layer_types"], "query_scalar": ["query_pre_attn_scalar"]]
        .merging(keys) { $1 }
    )
  }

  /// A block with norms before and after each branch.
  ///
  /// - Throws: `badData` naming the tensor.
  static func block(
    _ file: ModelReader,
    _ sizes: ModelSizes,
    _ index: Int,
    _ norm: NormKind,
    _ attention: ModelPlan.Attention
  ) throws(ReFTError) -> ModelPlan.Block {
    func own(_ name: String) throws(ReFTError) -> ModelPlan.Norm {
      try file.norm("blk.\(index).\(name)", size: sizes.hidden, like: norm)
    }
    return ModelPlan.Block(
      attentionNorm: try own("attn_norm"),
      attention: attention,
      attentionPostNorm: try own("post_attention_norm"),
      mlpNorm: try own("ffn_norm"),
      mlp: try sizes.mlp(file, block: index, .geluTanh),
      mlpPostNorm: try own("post_ffw_norm")
    )
  }
}
