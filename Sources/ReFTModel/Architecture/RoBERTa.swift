// SPDX-License-Identifier: Apache-2.0
// RoBERTa and DistilRoBERTa: BERT's blocks; positions are counted from behind the padding's row.

import ReFTTensor

/// RoBERTa's folders; in GGUF it is a BERT.
enum RoBERTa: Architecture {
  static let names: [ModelFormat: String] = [.huggingFace: "roberta"]

  static func fileNames(_ format: ModelFormat) -> FileNames {
    BERT.names(
      format,
      root: "roberta.",
      outside: ["cls": "classifier.dense", "cls.output": "classifier.out_proj"]
    )
  }

  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan {
    file.ignore(prefix: "lm_head.")
    file.ignore(prefix: "roberta.pooler.")
    file.ignore(prefix: "pooler.")
    let padding = try file.size("padding", in: 0...(1 << 20), default: 1)
    return try BERT.plan(file, "roberta", firstPosition: padding + 1)
  }
}
