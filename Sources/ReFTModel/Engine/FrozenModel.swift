// SPDX-License-Identifier: Apache-2.0
// A frozen model: weights as they lie in the file. Immutable once loaded.

public import ReFTTensor

/// A language model whose weights never change.
public final class FrozenModel: Sendable {
  /// The weights of one block.
  struct Block: Sendable {
    let attentionNorm: FloatBuffer
    let queryKeyValue: StackedWeight
    let attentionOutput: StackedWeight
    let mlpNorm: FloatBuffer
    let gateUp: StackedWeight
    let down: StackedWeight
  }

  /// The model's shape.
  public let configuration: ModelConfiguration
  /// The file that the model was read from.
  public let path: String

  let gguf: GGUFFile
  let embedding: FrozenWeight
  let blocks: [Block]
  let outputNorm: FloatBuffer
  let head: StackedWeight
  let rope: RotaryTable

  /// Opens a model; weights are mapped, not read.
  ///
  /// - Throws: `inputMissing`, `inputOutput`, or `badData` naming the metadata key or tensor.
  public convenience init(path: String) throws(ReFTError) {
    try self.init(gguf: GGUFFile(path: path))
  }

  /// Takes the weights of an open file.
  ///
  /// - Throws: `badData` naming the metadata key or tensor.
  public init(gguf: GGUFFile) throws(ReFTError) {
    let path = gguf.file.path
    let shape = try ModelConfiguration(gguf: gguf)
    func weight(_ name: String, rows: Int, columns: Int) throws(ReFTError) -> FrozenWeight {
      guard let tensor = gguf.tensor(name) else { throw .missingTensor(name, path) }
      return try FrozenWeight(tensor, rows: rows, columns: columns, path: path)
    }
    func vector(_ name: String, count: Int) throws(ReFTError) -> FloatBuffer {
      guard let tensor = gguf.tensor(name) else { throw .missingTensor(name, path) }
      guard tensor.dimensions == [count] else {
        throw .tensorShape(name, found: tensor.dimensions, expected: [count], path)
      }
      return FloatBuffer(tensor.floats())
    }
    let d = shape.hiddenSize
    var blocks: [Block] = []
    for index in 0..<shape.layers {
      let prefix = "blk.\(index)."
      blocks.append(
        Block(
          attentionNorm: try vector(prefix + "attn_norm.weight", count: d),
          queryKeyValue: StackedWeight(
            try weight(prefix + "attn_q.weight", rows: shape.queryWidth, columns: d),
            try weight(prefix + "attn_k.weight", rows: shape.keyValueWidth, columns: d),
            try weight(prefix + "attn_v.weight", rows: shape.keyValueWidth, columns: d)
          ),
          attentionOutput: StackedWeight(
            try weight(prefix + "attn_output.weight", rows: d, columns: shape.queryWidth)
          ),
          mlpNorm: try vector(prefix + "ffn_norm.weight", count: d),
          gateUp: StackedWeight(
            try weight(prefix + "ffn_gate.weight", rows: shape.feedForwardSize, columns: d),
            try weight(prefix + "ffn_up.weight", rows: shape.feedForwardSize, columns: d)
          ),
          down: StackedWeight(
            try weight(prefix + "ffn_down.weight", rows: d, columns: shape.feedForwardSize)
          )
        )
      )
    }
    self.blocks = blocks
    let vocabulary = shape.vocabularySize
    embedding = try weight("token_embd.weight", rows: vocabulary, columns: d)
    let isTied = gguf.tensor("output.weight") == nil
    head = StackedWeight(
      isTied ? embedding : try weight("output.weight", rows: vocabulary, columns: d)
    )
    outputNorm = try vector("output_norm.weight", count: d)
    let factors = try gguf.tensor("rope_freqs.weight").map { tensor throws(ReFTError) in
      try vector(tensor.name, count: shape.headSize / 2)
    }
    if let factor = factors?.values.first(where: { !($0 > 0 && $0.isFinite) }) {
      throw .rotationFactor(factor, path)
    }
    rope = RotaryTable(configuration: shape, factors: factors)
    configuration = shape
    self.gguf = gguf
    self.path = path
  }

  /// What tells this model apart from others: "sha256:" and 64 digits.
  public var fingerprint: String { gguf.fingerprint }

  /// Reads the shape and the fingerprint alone.
  ///
  /// - Throws: as `init`.
  public static func header(
    path: String
  ) throws(ReFTError) -> (configuration: ModelConfiguration, fingerprint: String, file: GGUFFile) {
    let gguf = try GGUFFile(path: path)
    return (try ModelConfiguration(gguf: gguf), gguf.fingerprint, gguf)
  }

  /// The width of a row at a component, in floats.
  public func width(of component: Component) -> Int { configuration.width(of: component) }

  func checkBlock(_ block: Int) throws(ReFTError) {
    guard (0..<configuration.layers).contains(block) else {
      throw .blockOutsideModel(block, layers: configuration.layers)
    }
  }

  func checkSites(_ sites: Set<Site>) throws(ReFTError) {
    for site in sites where !(0..<configuration.layers).contains(site.block) {
      throw .siteOutsideModel(site, layers: configuration.layers)
    }
  }
}
