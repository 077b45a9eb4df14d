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
  let embedding: FrozenWeight
  let blocks: [BlockWeights]
  let finalNorm: NormWeights
  let head: StackedWeight

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
    embedding = try binder.weight(plan.embedding.weight)
    var blocks: [BlockWeights] = []
    for block in plan.blocks { blocks.append(try binder.block(block)) }
    self.blocks = blocks
    finalNorm = try binder.norm(plan.finalNorm)
    head = StackedWeight(plan.isTied ? embedding : try binder.weight(plan.head))
    configuration = ModelConfiguration(
      plan,
      fileType: source.mostCommonType.map { "\($0)" } ?? "none"
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
