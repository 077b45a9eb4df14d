// SPDX-License-Identifier: Apache-2.0
// Files that are no whole dense model of their own, told as what they are.

import ReFTTensor

enum ModelKind {
  /// Refuses an adapter, experts, and weights quantised in ways of Python
  /// libraries, each with its cause.
  ///
  /// - Throws: `badData`.
  static func check(_ source: any TensorSource, family: String) throws(ReFTError) {
    func count(_ key: String) -> Int {
      if case .int(let value) = source.metadata[key] { Int(value) } else { 0 }
    }
    let path = source.path
    if case .string(let kind) = source.metadata["general.type"], kind != "model" {
      throw .notAModel(kind, path)
    }
    for key in ["\(family).expert_count", "num_local_experts", "num_experts"] where count(key) > 0 {
      throw .hasExperts(count(key), path)
    }
    if source.metadata.keys.contains(where: { $0.hasPrefix("quantization_config") }) {
      throw .quantisedFolder(path)
    }
  }

  /// Refuses a tokenizer that makes ids which have no row in the embedding matrix.
  ///
  /// - Throws: `badData` with both numbers.
  static func checkVocabulary(_ source: any TensorSource, rows: Int) throws(ReFTError) {
    guard case .strings(let tokens) = source.metadata["tokenizer.ggml.tokens"],
      tokens.count > rows
    else { return }
    throw .moreTokensThanRows(tokens: tokens.count, rows: rows, source.path)
  }
}
