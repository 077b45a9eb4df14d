// SPDX-License-Identifier: Apache-2.0
// The families that this version runs.

package import ReFTTensor

/// A family of models: how its files become a plan.
protocol Architecture: Sendable {
  /// What the file calls the family: `general.architecture` in GGUF, `model_type` in config.json.
  static var names: [ModelFormat: String] { get }
  /// What its files call keys and parts, where that is not what most call them.
  static func fileNames(_ format: ModelFormat) -> FileNames
  /// Writes down what a file's model computes.
  ///
  /// - Throws: `badData` naming the key or tensor that does not fit.
  static func plan(_ file: ModelReader) throws(ReFTError) -> ModelPlan
}

/// The known families.
package enum Architectures {
  static let all: [any Architecture.Type] = [
    Llama.self, Mistral.self, Qwen2.self, Qwen3.self, Gemma.self, Gemma2.self, Gemma3.self,
    Phi3.self, Olmo2.self, GPT2.self, GPTNeoX.self, BERT.self, RoBERTa.self, DistilBERT.self,
  ]

  /// Reads the plan of a stored model, and refuses what the plan does not use.
  ///
  /// - Throws: `badData` for an unknown family, a part of a model, or naming the key or tensor.
  package static func plan(_ source: any TensorSource) throws(ReFTError) -> ModelPlan {
    let family = try family(of: source)
    let reader = ModelReader(source, family.fileNames(source.format))
    let plan = try family.plan(reader)
    try reader.finish()
    return plan
  }

  /// What the files of a stored model call its keys and parts.
  ///
  /// - Throws: `badData` for an unknown family, or a part of a model.
  static func fileNames(_ source: any TensorSource) throws(ReFTError) -> FileNames {
    try family(of: source).fileNames(source.format)
  }

  private static func family(
    of source: any TensorSource
  ) throws(ReFTError) -> any Architecture.Type {
    let key = source.format == .gguf ? "general.architecture" : "model_type"
    guard case .string(let name) = source.metadata[key] else {
      throw .missingMetadata(key, source.path)
    }
    try ModelKind.check(source, family: name)
    guard let family = all.first(where: { $0.names[source.format] == name }) else {
      let known = Set(all.compactMap { $0.names[source.format] }).sorted()
      throw .unknownArchitecture(name, known: known, source.path)
    }
    return family
  }
}
