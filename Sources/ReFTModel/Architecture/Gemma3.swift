// SPDX-License-Identifier: Apache-2.0
// Gemma 3, text: four norms a block, normalised queries and keys, five blocks with a window for one
// without, each kind with its own rotation.

import ReFTTensor

enum Gemma3: Architecture {
  static let names: [ModelFormat: String] = [.gguf: "gemma3", .huggingFace: "gemma3_text"]

  static func fileNames(_ format: ModelFormat) -> FileNames {
    Gemma.laterNames(
      format,
      family: "gemma3",
      keys: [
        "rope.freq_base_swa": ["rope_local_base_freq"],
        "attention.sliding_window_pattern": ["sliding_window_pattern", "_sliding_window_pattern"],
      ]
    )
  }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    let sizes = try ModelSizes(file)
    let norm = try Gemma.norm(file)
    let pattern = try file.size("attention.sliding_window_pattern", in: 1...1024, default: 6)
    let masks = try sizes.masks(file) { ($0 + 1) % pattern != 0 }
    let wide = try sizes.rotation(file, base: 1_000_000)
    var near = wide
    near.base = try file.number("rope.freq_base_swa", default: 10_000)
    near.scaling = .none
    let scale = try Gemma.attentionScale(file, sizes, largest: 62)
    let activation = try sizes.activation(file, default: .geluTanh)
    guard activation == .geluTanh else {
      throw .unusedKey(file.keyName("activation"), "'\(activation.rawValue)'", file.path)
    }
    try file.expect([
      "attn_logit_softcapping": .int(0), "final_logit_softcapping": .int(0),
      "bidirectional": .bool(false), "expert_count": .int(0),
    ])
    let embedding = try Gemma.embedding(file, sizes)
    return try sizes.plan(
      "gemma3",
      embedding: embedding,
      finalNorm: try file.norm("output_norm", size: sizes.hidden, like: norm),
      head: try sizes.head(file, embedding: embedding, tiesByDefault: true)
    ) { index throws(ReFTError) in
      let mask = masks[index]
      let attention = try sizes.attention(
        file,
        block: index,
        rotation: mask == .causal ? wide : near,
        mask: mask,
        scale: scale
      ).withNorms(file, "blk.\(index).", of: sizes.headSize, sizes.headSize, norm)
      return try Gemma.block(file, sizes, index, norm, attention)
    }
  }
}
