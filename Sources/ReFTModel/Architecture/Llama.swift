// SPDX-License-Identifier: Apache-2.0
// Llama 1, 2 and 3 and what is built like them: SmolLM2, TinyLlama, and Mistral, whose blocks may see
// a window. RMSNorm before each branch, rotated heads, a gate with SiLU; biases where the file has some.

import ReFTTensor

enum Llama: Architecture {
  static let names: [ModelFormat: String] = [.gguf: "llama", .huggingFace: "llama"]

  static func fileNames(_ format: ModelFormat) -> FileNames { FileNames(format, family: "llama") }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    let sizes = try ModelSizes(file)
    let norm = try NormKind(rms: file)
    let rotation = try rotation(file, sizes)
    // Converters write Mistral's models as Llama's, with the window where they have one.
    let window = try file.size("attention.sliding_window", in: 0...(1 << 26), default: 0)
    let mask = window == 0 ? ModelPlan.Mask.causal : .window(window)
    let activation = try sizes.activation(file, default: .silu)
    try sizes.checkConstants(file)
    let embedding = try sizes.embedding(file)
    return try sizes.plan(
      "llama",
      embedding: embedding,
      finalNorm: try file.norm("output_norm", size: sizes.hidden, like: norm),
      head: try sizes.head(file, embedding: embedding, tiesByDefault: false)
    ) { index throws(ReFTError) in
      let part = "blk.\(index)."
      // Old converters kept the frequencies of the rotation, which follow from its base.
      file.ignore(part + "attn_rot_embd", file.source.format == .gguf ? "weight" : "inv_freq")
      return ModelPlan.Block(
        attentionNorm: try file.norm(part + "attn_norm", size: sizes.hidden, like: norm),
        attention: try sizes.attention(file, block: index, rotation: rotation, mask: mask),
        mlpNorm: try file.norm(part + "ffn_norm", size: sizes.hidden, like: norm),
        mlp: try sizes.mlp(file, block: index, activation)
      )
    }
  }

  /// Converters to GGUF reorder the rows of queries and keys so that pairs are neighbours, and
  /// write Llama 3's scaling as a tensor of factors.
  private static func rotation(
    _ file: ModelReader,
    _ sizes: ModelSizes
  ) throws(ReFTError) -> ModelPlan.Rotation {
    let isGGUF = file.source.format == .gguf
    var rotation = try sizes.rotation(file, pairs: isGGUF ? .neighbours : .halves)
    if isGGUF, let factors = file.tensor("rope_freqs") {
      guard factors.shape == [rotation.turned / 2] else {
        throw .tensorShape(
          factors.name,
          found: factors.shape,
          expected: [rotation.turned / 2],
          file.path
        )
      }
      guard rotation.scaling == .none else { throw .twoScalings(factors.name, file.path) }
      rotation.scaling = .factors(tensor: factors.name)
    }
    return rotation
  }
}

/// Mistral's folders; in GGUF it is a Llama.
enum Mistral: Architecture {
  static let names: [ModelFormat: String] = [.huggingFace: "mistral"]

  static func fileNames(_ format: ModelFormat) -> FileNames { FileNames(format, family: "llama") }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan { try Llama.plan(file) }
}
