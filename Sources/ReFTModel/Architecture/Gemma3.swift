// SPDX-License-Identifier: Apache-2.0
// Gemma 3, text: four norms a block, normalised queries and keys, five blocks with a window for one
// without, each kind with its own rotation, a scaled embedding that is also the head.

import ReFTTensor

enum Gemma3: Architecture {
  static let names: [ModelFormat: String] = [.gguf: "gemma3", .huggingFace: "gemma3_text"]

  static func fileNames(_ format: ModelFormat) -> FileNames {
    FileNames(
      format,
      family: "gemma3",
      parts: [
        "post_attention_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
      ],
      keys: [
        "layer_types": ["layer_types"], "query_scalar": ["query_pre_attn_scalar"],
        "rope.freq_base_swa": ["rope_local_base_freq"],
        "attention.sliding_window_pattern": ["sliding_window_pattern", "_sliding_window_pattern"],
      ]
    )
  }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    let sizes = try DecoderSizes(file)
    // Files in GGUF hold the weights with the one added.
    let norm = NormKind(
      epsilon: Float(try file.number("attention.layer_norm_rms_epsilon", allowsZero: true)),
      offset: file.source.format == .gguf ? 0 : 1
    )
    let isWindowed = try windows(file, layers: sizes.layers)
    let window = try file.size("attention.sliding_window", in: 1...(1 << 26))
    let wide = ModelPlan.Rotation(
      pairs: .halves,
      base: try file.number("rope.freq_base", default: 1_000_000),
      scaling: try sizes.scaling(file)
    )
    let near = ModelPlan.Rotation(
      pairs: .halves,
      base: try file.number("rope.freq_base_swa", default: 10_000),
      scaling: .none
    )
    let scale = try attentionScale(file, sizes)
    try file.expect([
      "attn_logit_softcapping": .int(0), "final_logit_softcapping": .int(0),
      "activation": .string("gelu_pytorch_tanh"), "bidirectional": .bool(false),
      "expert_count": .int(0),
    ])
    let embedding = try file.matrix("token_embd", rows: sizes.vocabulary, columns: sizes.hidden)
    var blocks: [ModelPlan.Block] = []
    for index in 0..<sizes.layers {
      let part = "blk.\(index)."
      func branchNorm(_ name: String) throws(ReFTError) -> ModelPlan.Norm {
        try file.norm(part + name, size: sizes.hidden, like: norm)
      }
      var attention = try sizes.attention(
        file,
        block: index,
        rotation: isWindowed[index] ? near : wide,
        mask: isWindowed[index] ? .window(window) : .causal,
        scale: scale
      )
      attention.queryNorm = try file.norm(part + "attn_q_norm", size: sizes.headSize, like: norm)
      attention.keyNorm = try file.norm(part + "attn_k_norm", size: sizes.headSize, like: norm)
      blocks.append(
        ModelPlan.Block(
          attentionNorm: try branchNorm("attn_norm"),
          attention: attention,
          attentionPostNorm: try branchNorm("post_attention_norm"),
          mlpNorm: try branchNorm("ffn_norm"),
          mlp: try sizes.mlp(file, block: index, .geluTanh),
          mlpPostNorm: try branchNorm("post_ffw_norm")
        )
      )
    }
    return ModelPlan(
      name: sizes.name,
      architecture: "gemma3",
      contextLength: sizes.context,
      embedding: ModelPlan.Embedding(
        weight: embedding,
        scale: Float(Double(sizes.hidden).squareRoot())
      ),
      blocks: blocks,
      finalNorm: try file.norm("output_norm", size: sizes.hidden, like: norm),
      head: try sizes.head(file, embedding: embedding, tiesByDefault: true)
    )
  }

  /// Which blocks see a window only: what the file says of each, or all but every sixth.
  private static func windows(_ file: ModelReader, layers: Int) throws(ReFTError) -> [Bool] {
    let pattern = try file.size("attention.sliding_window_pattern", in: 1...1024, default: 6)
    guard let types = try file.texts("layer_types") else {
      return (0..<layers).map { ($0 + 1) % pattern != 0 }
    }
    guard types.count == layers else {
      throw .layerTypes(types.count, layers: layers, file.path)
    }
    for type in types where !["sliding_attention", "full_attention"].contains(type) {
      throw .unusedKey("layer_types", "'\(type)'", file.path)
    }
    return types.map { $0 == "sliding_attention" }
  }

  /// 1 / √(a number that the file names, or the head size); the one of 62 blocks divides by the
  /// width of its stream per head, which GGUF does not say.
  private static func attentionScale(
    _ file: ModelReader,
    _ sizes: DecoderSizes
  ) throws(ReFTError) -> Float {
    let isLargest = sizes.layers == 62
    let usual = Double(isLargest ? sizes.hidden / sizes.heads : sizes.headSize)
    let scalar = try file.number("query_scalar", default: usual)
    return Float(1 / scalar.squareRoot())
  }
}
