// SPDX-License-Identifier: Apache-2.0
// A frozen model: a plan, and its weights as they lie in the file. Immutable once loaded.

public import ReFTTensor

/// A language model whose weights never change.
public final class FrozenModel: Sendable {
  /// What the model computes.
  public let plan: ModelPlan
  /// The model's sizes.
  public let configuration: ModelConfiguration
  /// The file or folder that the model was read from.
  public let path: String

  let source: any TensorSource
  package let embedding: EmbeddingWeights
  package let blocks: [BlockWeights]
  package let finalNorm: NormWeights?
  package let head: HeadWeights
  /// Matrices that the file holds in another order.
  private let rearranged: [FloatBuffer]

  /// Opens a model; weights are mapped, not read.
  ///
  /// - Throws: `inputMissing`, `inputOutput`, or `badData` naming the metadata key or tensor.
  public convenience init(path: String) throws(ReFTError) {
    try self.init(source: ModelFiles.open(path))
  }

  /// Takes the weights of an open source.
  ///
  /// - Throws: `badData` naming the metadata key or tensor.
  public init(source: any TensorSource) throws(ReFTError) {
    let plan = try Architectures.plan(source)
    let binder = WeightBinder(source)
    embedding = try EmbeddingWeights(plan.embedding, binder)
    var blocks: [BlockWeights] = []
    for block in plan.blocks { blocks.append(try binder.block(block)) }
    self.blocks = blocks
    finalNorm = try binder.norm(plan.finalNorm)
    head = try HeadWeights(plan, embedding: embedding, binder)
    rearranged = binder.rearranged
    configuration = ModelConfiguration(
      plan,
      fileType: source.fileType
    )
    self.plan = plan
    self.source = source
    path = source.path
  }

  /// What tells this model apart from others: "sha256:" and 64 digits.
  public var fingerprint: String { source.fingerprint }

  /// Bytes of all weights in the file's own formats; a tied output matrix counts once.
  public var weightByteCount: Int { source.dataByteCount }

  /// The width of a row at a component, in floats.
  public func width(of component: Component) -> Int { configuration.width(of: component) }

  package func checkBlock(_ block: Int) throws(ReFTError) {
    guard (0..<configuration.layers).contains(block) else {
      throw .blockOutsideModel(block, layers: configuration.layers)
    }
  }

  /// The head that predicts tokens.
  ///
  /// - Throws: `usage` where the model has another one, or none.
  package func languageHead() throws(ReFTError) -> LanguageHeadWeights {
    guard case .language(let head) = head, !plan.isEncoder else {
      throw .predictsNoTokens(plan.architecture, path)
    }
    return head
  }

  package func checkSites(_ sites: Set<Site>) throws(ReFTError) {
    for site in sites where !(0..<configuration.layers).contains(site.block) {
      throw .siteOutsideModel(site, layers: configuration.layers)
    }
  }
}
