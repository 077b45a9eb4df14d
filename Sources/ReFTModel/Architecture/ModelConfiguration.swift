// SPDX-License-Identifier: Apache-2.0
// The shape of a model, as its file states it, checked once.

public import ReFTTensor

/// The sizes and constants of a decoder-only transformer.
public struct ModelConfiguration: Sendable, Equatable {
  /// The model's own name.
  public var name: String
  /// The family, such as "llama".
  public var architecture: String
  /// How many blocks there are.
  public var layers: Int
  /// The width of the residual stream, d.
  public var hiddenSize: Int
  /// How many query heads there are.
  public var heads: Int
  /// How many key and value heads there are; divides `heads`.
  public var keyValueHeads: Int
  /// The width of a head.
  public var headSize: Int
  /// The width of the MLP.
  public var feedForwardSize: Int
  /// How many tokens the model knows.
  public var vocabularySize: Int
  /// The longest sequence the model was made for, in tokens.
  public var contextLength: Int
  /// The base of the rotary embedding's frequencies.
  public var ropeBase: Double
  /// Divides positions, for models with linear position scaling.
  public var ropeScale: Double
  /// Added to the mean square in normalisations.
  public var normEpsilon: Float
  /// The most common number format of the weights, such as "Q4_1".
  public var fileType: String

  /// The width of all query heads together.
  public var queryWidth: Int { heads * headSize }
  /// The width of all key heads together, and of all value heads.
  public var keyValueWidth: Int { keyValueHeads * headSize }

  /// The width of a row at a component, in floats.
  public func width(of component: Component) -> Int {
    switch component {
    case .blockInput, .blockOutput, .attentionInput, .attentionOutput, .mlpInput, .mlpOutput:
      hiddenSize
    case .queryOutput, .attentionValueOutput: queryWidth
    case .keyOutput, .valueOutput: keyValueWidth
    case .mlpActivation: feedForwardSize
    }
  }

  /// Reads the shape from the metadata of a GGUF file.
  ///
  /// - Throws: `badData` for an unknown architecture, a missing key or a value out of range.
  public init(gguf: GGUFFile) throws(ReFTError) {
    let path = gguf.file.path
    guard let architecture = gguf.string("general.architecture") else {
      throw .missingMetadata("general.architecture", path)
    }
    try ModelContents.checkKind(gguf, architecture: architecture)
    guard architecture == "llama" else { throw .unknownArchitecture(architecture, path) }
    func size(_ key: String, in range: ClosedRange<Int>, default other: Int? = nil)
      throws(ReFTError) -> Int
    {
      let key = "\(architecture).\(key)"
      guard let value = gguf.int(key) ?? (gguf.metadata[key] == nil ? other : nil) else {
        throw .missingMetadata(key, path)
      }
      guard range.contains(value) else { throw .metadataOutOfRange(key, value, range, path) }
      return value
    }
    func number(_ key: String, default other: Double? = nil, allowsZero: Bool = false)
      throws(ReFTError) -> Double
    {
      let key = "\(architecture).\(key)"
      if gguf.metadata[key] == nil, let other { return other }
      guard let value = gguf.double(key), value.isFinite, value > 0 || allowsZero && value == 0
      else {
        throw .missingMetadata(key, path)
      }
      return value
    }
    self.architecture = architecture
    name = gguf.string("general.name") ?? architecture
    layers = try size("block_count", in: 1...1024)
    hiddenSize = try size("embedding_length", in: 2...(1 << 17))
    heads = try size("attention.head_count", in: 1...4096)
    keyValueHeads = try size("attention.head_count_kv", in: 1...heads, default: heads)
    headSize = try size(
      "attention.key_length",
      in: 2...4096,
      default: max(2, hiddenSize / heads)
    )
    feedForwardSize = try size("feed_forward_length", in: 1...(1 << 20))
    contextLength = try size("context_length", in: 1...(1 << 26))
    guard heads % keyValueHeads == 0, headSize % 2 == 0 else {
      throw .headsDoNotFit(heads: heads, keyValueHeads: keyValueHeads, headSize: headSize, path)
    }
    guard let embedding = gguf.tensor("token_embd.weight"), embedding.dimensions.count == 2 else {
      throw .missingTensor("token_embd.weight", path)
    }
    vocabularySize = embedding.dimensions[1]
    guard (1...Int(Int32.max)).contains(vocabularySize) else {
      throw .tensorShape(
        embedding.name,
        found: embedding.dimensions,
        expected: [hiddenSize, 1],
        path
      )
    }
    try ModelContents.checkVocabulary(gguf, rows: vocabularySize)
    ropeBase = try number("rope.freq_base", default: 10_000)
    normEpsilon = Float(try number("attention.layer_norm_rms_epsilon", allowsZero: true))
    let rotated = try size("rope.dimension_count", in: 1...4096, default: headSize)
    let valueSize = try size("attention.value_length", in: 2...4096, default: headSize)
    guard valueSize == headSize else {
      throw .valueSize(valueSize, keySize: headSize, path)
    }
    // A factor without a type is a linear one, and an older key names it by itself.
    let scaling = gguf.string("\(architecture).rope.scaling.type") ?? "linear"
    guard rotated == headSize, ["none", "linear"].contains(scaling) else {
      throw .unknownRotation(dimensions: rotated, headSize: headSize, scaling: scaling, path)
    }
    let linear = try number("rope.scaling.factor", default: number("rope.scale_linear", default: 1))
    ropeScale = scaling == "none" ? 1 : linear
    try ModelContents(gguf: gguf, layers: layers).check(architecture: architecture)
    var counts: [TensorType: Int] = [:]
    for tensor in gguf.tensors { counts[tensor.type, default: 0] += tensor.elementCount }
    let most = counts.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }
    fileType = most.map { "\($0.key)" } ?? "none"
  }
}
