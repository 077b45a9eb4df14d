// SPDX-License-Identifier: Apache-2.0
// The families that this version runs, and the parts of a plan that they share.

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
  static let all: [any Architecture.Type] = [Llama.self, Gemma3.self]

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

/// The sizes that every decoder states.
struct DecoderSizes {
  var name: String
  var layers: Int
  var hidden: Int
  var heads: Int
  var keyValueHeads: Int
  var headSize: Int
  var feedForward: Int
  var context: Int
  var vocabulary: Int

  /// Reads them.
  ///
  /// - Throws: `badData` for a missing key, a value out of range, or heads that do not fit.
  init(_ file: ModelReader) throws(ReFTError) {
    let path = file.path
    layers = try file.size("block_count", in: 1...1024)
    hidden = try file.size("embedding_length", in: 2...(1 << 17))
    heads = try file.size("attention.head_count", in: 1...4096)
    keyValueHeads = try file.size("attention.head_count_kv", in: 1...heads, default: heads)
    headSize = try file.size(
      "attention.key_length",
      in: 2...4096,
      default: max(2, hidden / heads)
    )
    feedForward = try file.size("feed_forward_length", in: 1...(1 << 20))
    context = try file.size("context_length", in: 1...(1 << 26))
    guard heads % keyValueHeads == 0, headSize % 2 == 0 else {
      throw .headsDoNotFit(heads: heads, keyValueHeads: keyValueHeads, headSize: headSize, path)
    }
    let values = try file.size("attention.value_length", in: 2...4096, default: headSize)
    guard values == headSize else { throw .valueSize(values, keySize: headSize, path) }
    guard let embedding = file.tensor("token_embd"), embedding.shape.count == 2 else {
      throw .missingTensor(file.name("token_embd"), path)
    }
    vocabulary = embedding.shape[0]
    guard (1...Int(Int32.max)).contains(vocabulary) else {
      throw .tensorShape(
        embedding.name,
        found: file.source.inFileOrder(embedding.shape),
        expected: file.source.inFileOrder([1, hidden]),
        path
      )
    }
    try ModelKind.checkVocabulary(file.source, rows: vocabulary)
    // The embedding matrix is what counts.
    _ = file.has("vocab_size")
    if case .string(let title) = file.source.metadata["general.name"] {
      name = title
    } else {
      name = file.source.path.split(separator: "/").last.map(String.init) ?? "model"
    }
  }

  /// The matrices of an attention over these heads, without norms.
  ///
  /// - Throws: `badData` naming the tensor.
  func attention(
    _ file: ModelReader,
    block: Int,
    rotation: ModelPlan.Rotation,
    mask: ModelPlan.Mask = .causal,
    scale: Float? = nil
  ) throws(ReFTError) -> ModelPlan.Attention {
    let (queries, keys) = (heads * headSize, keyValueHeads * headSize)
    func part(_ name: String) -> String { "blk.\(block).\(name)" }
    return ModelPlan.Attention(
      heads: heads,
      keyValueHeads: keyValueHeads,
      headSize: headSize,
      query: try file.matrix(part("attn_q"), rows: queries, columns: hidden),
      key: try file.matrix(part("attn_k"), rows: keys, columns: hidden),
      value: try file.matrix(part("attn_v"), rows: keys, columns: hidden),
      output: try file.matrix(part("attn_output"), rows: hidden, columns: queries),
      rotation: rotation,
      mask: mask,
      scale: scale ?? 1 / Float(headSize).squareRoot()
    )
  }

  /// A gated MLP.
  ///
  /// - Throws: `badData` naming the tensor.
  func mlp(
    _ file: ModelReader,
    block: Int,
    _ activation: ModelPlan.Activation
  ) throws(ReFTError) -> ModelPlan.MLP {
    let part = "blk.\(block).ffn_"
    return ModelPlan.MLP(
      activation: activation,
      gate: try file.matrix(part + "gate", rows: feedForward, columns: hidden),
      up: try file.matrix(part + "up", rows: feedForward, columns: hidden),
      down: try file.matrix(part + "down", rows: hidden, columns: feedForward)
    )
  }

  /// The head: a matrix of its own, or the embedding where the file has none or ties them.
  ///
  /// - Throws: `badData` naming the tensor.
  func head(
    _ file: ModelReader,
    embedding: ModelPlan.Matrix,
    tiesByDefault: Bool
  ) throws(ReFTError) -> ModelPlan.Matrix {
    // A GGUF file that has the matrix means it; a folder may hold a copy that is not used.
    let isGGUF = file.source.format == .gguf
    let ties = isGGUF ? false : try file.flag("tied", default: tiesByDefault)
    if ties {
      file.ignore("output")
      return embedding
    }
    if isGGUF, file.tensor("output") == nil { return embedding }
    return try file.matrix("output", rows: vocabulary, columns: hidden)
  }

  /// The scaling that the keys of the rotation ask for.
  ///
  /// - Throws: `badData` for a type that this version does not know, or missing numbers.
  func scaling(_ file: ModelReader) throws(ReFTError) -> ModelPlan.Rotation.Scaling {
    let rotated = try file.size("rope.dimension_count", in: 1...4096, default: headSize)
    // A factor without a type is a linear one, and an older key of GGUF names it by itself.
    let type = try file.text("rope.scaling.type") ?? "linear"
    guard rotated == headSize, ["none", "default", "linear", "llama3"].contains(type) else {
      throw .unknownRotation(
        dimensions: rotated,
        headSize: headSize,
        scaling: type,
        file.path
      )
    }
    let older = try file.number("rope.scale_linear", default: 1)
    let factor = try file.number("rope.scaling.factor", default: older)
    switch type {
    case "linear": return factor == 1 ? .none : .linear(factor)
    case "llama3":
      return .llama3(
        factor: factor,
        low: try file.number("rope.scaling.low"),
        high: try file.number("rope.scaling.high"),
        original: try file.number("rope.scaling.original")
      )
    default: return .none
    }
  }
}
