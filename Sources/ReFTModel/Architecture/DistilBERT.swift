// SPDX-License-Identifier: Apache-2.0
// DistilBERT: BERT's blocks under other names; tokens have no types.

import ReFTTensor

/// DistilBERT's folders; in GGUF it is a BERT.
enum DistilBERT: Architecture {
  static let names: [ModelFormat: String] = [.huggingFace: "distilbert"]

  static func fileNames(_ format: ModelFormat) -> FileNames {
    FileNames(
      format,
      family: "bert",
      root: "distilbert.",
      blocks: "transformer.layer.",
      outside: ["cls": "pre_classifier", "cls.output": "classifier"],
      parts: [
        "token_embd": "embeddings.word_embeddings",
        "position_embd": "embeddings.position_embeddings",
        "token_embd_norm": "embeddings.LayerNorm", "attn_q": "attention.q_lin",
        "attn_k": "attention.k_lin", "attn_v": "attention.v_lin",
        "attn_output": "attention.out_lin", "attn_output_norm": "sa_layer_norm",
        "ffn_up": "ffn.lin1", "ffn_down": "ffn.lin2", "layer_output_norm": "output_layer_norm",
      ],
      keys: [
        "block_count": ["n_layers"], "embedding_length": ["dim"],
        "feed_forward_length": ["hidden_dim"], "attention.head_count": ["n_heads"],
        "activation": ["activation"], "sinusoidal": ["sinusoidal_pos_embds"],
      ]
    )
  }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    file.ignore(prefix: "vocab_")
    return try BERT.plan(file, "distilbert", .relu)
  }
}
