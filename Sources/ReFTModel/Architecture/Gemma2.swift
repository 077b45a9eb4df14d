// SPDX-License-Identifier: Apache-2.0
// Gemma 2: four norms a block, soft caps on scores and logits, a window in every other block.

import ReFTTensor

enum Gemma2: Architecture {
  static let names: [ModelFormat: String] = [.gguf: "gemma2", .huggingFace: "gemma2"]

  static func fileNames(_ format: ModelFormat) -> FileNames {
    Gemma.laterNames(format, family: "gemma2")
  }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    let sizes = try ModelSizes(file)
    let norm = try Gemma.norm(file)
    let rotation = try sizes.rotation(file)
    let masks = try sizes.masks(file) { $0 % 2 == 0 }
    let scale = try Gemma.attentionScale(file, sizes, largest: 46)
    let scoreCap = try cap(file, "attn_logit_softcapping", 50)
    let logitCap = try cap(file, "final_logit_softcapping", 30)
    let activation = try sizes.activation(file, default: .geluTanh)
    guard activation == .geluTanh else {
      throw .unusedKey(file.keyName("activation"), "'\(activation.rawValue)'", file.path)
    }
    try file.expect([
      "bidirectional": .bool(false), "expert_count": .int(0), "attention.causal": .bool(true),
    ])
    let embedding = try Gemma.embedding(file, sizes)
    return try sizes.plan(
      "gemma2",
      embedding: embedding,
      finalNorm: try file.norm("output_norm", size: sizes.hidden, like: norm),
      head: try sizes.head(file, embedding: embedding, tiesByDefault: true, softCap: logitCap)
    ) { index throws(ReFTError) in
      var attention = try sizes.attention(
        file,
        block: index,
        rotation: rotation,
        mask: masks[index],
        scale: scale
      )
      attention.softCap = scoreCap
      return try Gemma.block(file, sizes, index, norm, attention)
    }
  }

  /// A soft cap; a file that says 0 has none, and one that says nothing the family's own in GGUF.
  private static func cap(
    _ file: ModelReader,
    _ key: String,
    _ own: Double
  ) throws(ReFTError) -> Float? {
    let missing = file.source.format == .gguf ? own : 0
    let value = try file.number(key, default: missing, allowsZero: true)
    return value == 0 ? nil : Float(value)
  }
}
