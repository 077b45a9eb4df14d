// SPDX-License-Identifier: Apache-2.0
// Llama 1, 2 and 3 and what is built like them: SmolLM2, TinyLlama. RMSNorm before each branch,
// rotated heads, a gate with SiLU; biases where the file has some.

import ReFTTensor

enum Llama: Architecture {
  static let names: [ModelFormat: String] = [.gguf: "llama", .huggingFace: "llama"]

  static func fileNames(_ format: ModelFormat) -> FileNames { FileNames(format, family: "llama") }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    let sizes = try DecoderSizes(file)
    let norm = NormKind(
      epsilon: Float(try file.number("attention.layer_norm_rms_epsilon", allowsZero: true)),
      offset: 0
    )
    let rotation = try rotation(file, sizes)
    try checkConstants(file)
    let embedding = try file.matrix("token_embd", rows: sizes.vocabulary, columns: sizes.hidden)
    var blocks: [ModelPlan.Block] = []
    for index in 0..<sizes.layers {
      let part = "blk.\(index)."
      // Old converters kept the frequencies of the rotation, which follow from its base.
      file.ignore(part + "attn_rot_embd", file.source.format == .gguf ? "weight" : "inv_freq")
      blocks.append(
        ModelPlan.Block(
          attentionNorm: try file.norm(part + "attn_norm", size: sizes.hidden, like: norm),
          attention: try sizes.attention(file, block: index, rotation: rotation),
          mlpNorm: try file.norm(part + "ffn_norm", size: sizes.hidden, like: norm),
          mlp: try sizes.mlp(file, block: index, .silu)
        )
      )
    }
    return ModelPlan(
      name: sizes.name,
      architecture: "llama",
      contextLength: sizes.context,
      embedding: ModelPlan.Embedding(weight: embedding, scale: 1),
      blocks: blocks,
      finalNorm: try file.norm("output_norm", size: sizes.hidden, like: norm),
      head: try sizes.head(file, embedding: embedding, tiesByDefault: false)
    )
  }

  /// Converters to GGUF reorder the rows of queries and keys so that pairs are neighbours, and
  /// write Llama 3's scaling as a tensor of factors.
  private static func rotation(
    _ file: ModelReader,
    _ sizes: DecoderSizes
  ) throws(ReFTError) -> ModelPlan.Rotation {
    var rotation = ModelPlan.Rotation(
      pairs: file.source.format == .gguf ? .neighbours : .halves,
      base: try file.number("rope.freq_base", default: 10_000),
      scaling: try sizes.scaling(file)
    )
    if file.source.format == .gguf, let factors = file.tensor("rope_freqs") {
      guard factors.shape == [sizes.headSize / 2] else {
        throw .tensorShape(
          factors.name,
          found: factors.shape,
          expected: [sizes.headSize / 2],
          file.path
        )
      }
      guard rotation.scaling == .none else { throw .twoScalings(factors.name, file.path) }
      rotation.scaling = .factors(tensor: factors.name)
    }
    return rotation
  }

  /// Keys that other families of the same shape give other values.
  private static func checkConstants(_ file: ModelReader) throws(ReFTError) {
    for key in ["rope.scaling.original_context_length", "rope.scaling.finetuned"] {
      _ = file.has(key)
    }
    try file.expect([
      "expert_count": .int(0), "expert_used_count": .int(0), "expert_shared_count": .int(0),
      "attention.causal": .bool(true), "attention.clamp_kqv": .int(0),
      "attention.max_alibi_bias": .int(0), "use_parallel_residual": .bool(false),
      "logit_scale": .int(1), "embedding_scale": .int(1), "residual_scale": .int(1),
      "attn_logit_softcapping": .int(0), "final_logit_softcapping": .int(0),
      "attention.sliding_window": .int(0), "rope.scaling.attn_factor": .int(1),
      "activation": .string("silu"), "rope_interleaved": .bool(false),
    ])
  }
}
