// SPDX-License-Identifier: Apache-2.0
// Qwen 2, 2.5 and 3: Llama's blocks, with biases of queries, keys and values (2) or norms of each
// query and key head (3); upper blocks may see a window.

import ReFTTensor

enum Qwen2: Architecture {
  static let names: [ModelFormat: String] = [.gguf: "qwen2", .huggingFace: "qwen2"]

  static func fileNames(_ format: ModelFormat) -> FileNames { names(format, family: "qwen2") }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    try plan(file, family: "qwen2") { attention, _ in attention }
  }

  /// What both generations call their keys.
  static func names(_ format: ModelFormat, family: String) -> FileNames {
    FileNames(
      format,
      family: family,
      keys: [
        "layer_types": ["layer_types"], "windows": ["use_sliding_window"],
        "first_window": ["max_window_layers"],
      ]
    )
  }

  /// The plan of both generations.
  ///
  /// - Throws: `badData` naming the key or tensor, and what `finish` throws.
  static func plan(
    _ file: ModelReader,
    family: String,
    finish: (ModelPlan.Attention, _ part: String) throws(ReFTError) -> ModelPlan.Attention
  ) throws(ReFTError) -> ModelPlan {
    let sizes = try ModelSizes(file)
    let norm = try NormKind(rms: file)
    let rotation = try sizes.rotation(file)
    let activation = try sizes.activation(file, default: .silu)
    let hasWindows = try file.flag("windows", default: false)
    let first = try file.size("first_window", in: 0...(1 << 20), default: 0)
    let masks = try sizes.masks(file) { hasWindows && $0 >= first }
    try sizes.checkConstants(file)
    let embedding = try sizes.embedding(file)
    return try sizes.plan(
      family,
      embedding: embedding,
      finalNorm: try file.norm("output_norm", size: sizes.hidden, like: norm),
      head: try sizes.head(file, embedding: embedding, tiesByDefault: false)
    ) { index throws(ReFTError) in
      let part = "blk.\(index)."
      let mask = masks[index]
      let attention = try sizes.attention(file, block: index, rotation: rotation, mask: mask)
      return ModelPlan.Block(
        attentionNorm: try file.norm(part + "attn_norm", size: sizes.hidden, like: norm),
        attention: try finish(attention, part),
        mlpNorm: try file.norm(part + "ffn_norm", size: sizes.hidden, like: norm),
        mlp: try sizes.mlp(file, block: index, activation)
      )
    }
  }
}

enum Qwen3: Architecture {
  static let names: [ModelFormat: String] = [.gguf: "qwen3", .huggingFace: "qwen3"]

  static func fileNames(_ format: ModelFormat) -> FileNames {
    Qwen2.names(format, family: "qwen3")
  }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    let norm = try NormKind(rms: file)
    return try Qwen2.plan(file, family: "qwen3") { attention, part throws(ReFTError) in
      try attention.withNorms(file, part, of: attention.headSize, attention.headSize, norm)
    }
  }
}
