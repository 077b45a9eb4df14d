// SPDX-License-Identifier: Apache-2.0
// What all normalisations of a family share.

import ReFTTensor

/// The kind and the constants that all normalisations of a family share.
struct NormKind {
  var kind: ModelPlan.Norm.Kind
  var epsilon: Float
  var offset: Float = 0

  /// RMSNorm.
  ///
  /// - Throws: `badData` naming the key of its constant.
  init(rms file: ModelReader, offset: Float = 0) throws(ReFTError) {
    kind = .rms
    epsilon = Float(try file.number("attention.layer_norm_rms_epsilon", allowsZero: true))
    self.offset = offset
  }

  /// LayerNorm; a folder that names no constant means the usual one.
  ///
  /// - Throws: `badData` naming the key of its constant.
  init(layer file: ModelReader) throws(ReFTError) {
    kind = .layer
    let usual: Double? = file.source.format == .huggingFace ? 1e-12 : nil
    epsilon = Float(
      try file.number("attention.layer_norm_epsilon", default: usual, allowsZero: true)
    )
  }
}

extension ModelPlan.Attention {
  /// With norms of queries and keys, over so many numbers each.
  ///
  /// - Throws: `badData` naming the tensor.
  func withNorms(
    _ file: ModelReader,
    _ part: String,
    of queries: Int,
    _ keys: Int,
    _ norm: NormKind
  ) throws(ReFTError) -> ModelPlan.Attention {
    var attention = self
    attention.queryNorm = try file.norm(part + "attn_q_norm", size: queries, like: norm)
    attention.keyNorm = try file.norm(part + "attn_k_norm", size: keys, like: norm)
    return attention
  }
}
