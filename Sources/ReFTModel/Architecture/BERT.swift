// SPDX-License-Identifier: Apache-2.0
// Encoders of BERT's kind: every token sees all others, a LayerNorm of each sum, learned positions, an
// MLP without a gate. RoBERTa and DistilBERT are plans of this one.

import ReFTTensor

enum BERT: Architecture {
  static let names: [ModelFormat: String] = [.gguf: "bert", .huggingFace: "bert"]

  static func fileNames(_ format: ModelFormat) -> FileNames {
    names(format, root: "bert.", outside: ["cls.output": "classifier"])
  }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    // Heads of the training on masked words, which no text meets.
    file.ignore(prefix: "cls.predictions.")
    file.ignore(prefix: "cls.seq_relationship.")
    return try plan(file, "bert")
  }

  /// What BERT and RoBERTa call their parts; they differ in prefix and head.
  static func names(_ format: ModelFormat, root: String, outside: [String: String]) -> FileNames {
    FileNames(
      format,
      family: "bert",
      root: root,
      blocks: "encoder.layer.",
      outside: outside,
      parts: [
        "token_embd": "embeddings.word_embeddings",
        "position_embd": "embeddings.position_embeddings",
        "token_types": "embeddings.token_type_embeddings",
        "token_embd_norm": "embeddings.LayerNorm", "attn_q": "attention.self.query",
        "attn_k": "attention.self.key", "attn_v": "attention.self.value",
        "attn_output": "attention.output.dense", "attn_output_norm": "attention.output.LayerNorm",
        "ffn_up": "intermediate.dense", "ffn_down": "output.dense",
        "layer_output_norm": "output.LayerNorm", "cls": "pooler.dense",
      ],
      keys: [
        "attention.layer_norm_epsilon": ["layer_norm_eps"], "padding": ["pad_token_id"],
        "positions": ["position_embedding_type"], "types": ["type_vocab_size"],
        "decoder": ["is_decoder"], "crossed": ["add_cross_attention"],
      ]
    )
  }

  /// The plan of each of the three.
  ///
  /// - Parameters:
  ///   - file: the model.
  ///   - family: its name.
  ///   - firstPosition: the row of the first token's position.
  ///   - activation: of a head for classes.
  /// - Returns: the plan.
  /// - Throws: `badData` naming the key or tensor.
  static func plan(
    _ file: ModelReader,
    _ family: String,
    firstPosition: Int = 0,
    _ activation: ModelPlan.Classifier.Activation = .tanh
  ) throws(ReFTError) -> ModelPlan {
    var sizes = try ModelSizes(file)
    let norm = try NormKind(layer: file)
    for key in ["types", "tied", "pooling_type"] { _ = file.has(key) }
    try file.expect([
      "attention.causal": .bool(false), "positions": .string("absolute"),
      "decoder": .bool(false), "crossed": .bool(false), "sinusoidal": .bool(false),
    ])
    let own = try sizes.activation(file, default: .gelu)
    let embedding = try embedding(file, sizes, firstPosition: firstPosition, norm)
    sizes.context -= firstPosition
    return try sizes.plan(
      family,
      embedding: embedding,
      finalNorm: nil,
      head: try head(file, sizes, activation)
    ) { index throws(ReFTError) in
      let part = "blk.\(index)."
      return ModelPlan.Block(
        attention: try sizes.attention(file, block: index, rotation: nil, mask: .full),
        attentionSumNorm: try file.norm(
          part + "attn_output_norm",
          size: sizes.hidden,
          like: norm
        ),
        mlp: try sizes.mlp(file, block: index, own, .plain),
        mlpSumNorm: try file.norm(part + "layer_output_norm", size: sizes.hidden, like: norm)
      )
    }
  }

  private static func embedding(
    _ file: ModelReader,
    _ sizes: ModelSizes,
    firstPosition: Int,
    _ norm: NormKind
  ) throws(ReFTError) -> ModelPlan.Embedding {
    // The numbers 0, 1, 2 and so on, which some folders keep.
    file.ignore("embeddings", "position_ids")
    var embedding = try sizes.embedding(file)
    embedding.positions = ModelPlan.Positions(
      weight: try file.matrix("position_embd", rows: sizes.context, columns: sizes.hidden),
      first: firstPosition
    )
    if let types = file.tensor("token_types"), let rows = types.shape.first {
      embedding.types = try file.matrix("token_types", rows: rows, columns: sizes.hidden)
    }
    embedding.norm = try file.norm("token_embd_norm", size: sizes.hidden, like: norm)
    return embedding
  }

  /// A head for classes, where the file has both its matrices; a pooler without classes is left out.
  private static func head(
    _ file: ModelReader,
    _ sizes: ModelSizes,
    _ activation: ModelPlan.Classifier.Activation
  ) throws(ReFTError) -> ModelPlan.Head {
    for suffix in ["weight", "bias"] { file.ignore("cls", suffix) }
    guard let classes = file.tensor("cls.output")?.shape.first else { return .none }
    return .classifier(
      ModelPlan.Classifier(
        hidden: try file.matrix("cls", rows: sizes.hidden, columns: sizes.hidden),
        activation: activation,
        output: try file.matrix("cls.output", rows: classes, columns: sizes.hidden)
      )
    )
  }
}
