// SPDX-License-Identifier: Apache-2.0
// A plan compiled into steps: the one place that decides what is fused and where taps stand.

import ReFTTensor

/// The blocks of a model as a list of steps.
struct Program: Sendable {
  /// What a program is compiled for.
  struct Key: Hashable, Sendable {
    /// The sites at which somebody wants to look.
    var sites: Set<Site>
    /// Whether the end of the last block computes the rows of a tail alone.
    var narrows: Bool
  }

  /// What it was compiled for.
  let key: Key
  /// All steps in the order of computation.
  let steps: [any Step]
  /// Where the steps of each block begin; one more for the end.
  let starts: [Int]

  /// Compiles a model.
  init(_ model: FrozenModel, _ key: Key) {
    var steps: [any Step] = []
    var starts: [Int] = []
    for index in model.blocks.indices {
      starts.append(steps.count)
      let isLast = index == model.blocks.count - 1
      steps +=
        BlockCompiler(
          block: index,
          weights: model.blocks[index],
          sites: key.sites,
          narrows: key.narrows && isLast
        ).steps
    }
    starts.append(steps.count)
    (self.key, self.steps, self.starts) = (key, steps, starts)
  }

  /// The steps from a block's input on, with the tap at the output of the block before.
  ///
  /// Who starts at a block's input has nobody's edits in it; those of the output just before are
  /// edits of that input.
  func steps(from block: Int, startsInside: Bool) -> ArraySlice<any Step> {
    var first = starts[block]
    if startsInside, first > 0, let tap = steps[first - 1] as? TapStep,
      tap.component == .blockOutput
    {
      first -= 1
    }
    return steps[first...]
  }
}

/// Writes down the steps of one block.
private struct BlockCompiler {
  let block: Int
  let weights: BlockWeights
  let sites: Set<Site>
  let narrows: Bool
  private(set) var steps: [any Step] = []

  init(block: Int, weights: BlockWeights, sites: Set<Site>, narrows: Bool) {
    (self.block, self.weights) = (block, weights)
    (self.sites, self.narrows) = (sites, narrows)
    attention()
    mlp()
    tap(.blockOutput, inTail: narrows, after: .projections)
  }

  private func wants(_ component: Component) -> Bool {
    sites.contains(Site(block: block, component: component))
  }

  private mutating func tap(
    _ component: Component,
    inTail: Bool = false,
    places: BranchPlaces? = nil,
    after kind: WorkKind
  ) {
    guard wants(component) else { return }
    steps.append(
      TapStep(block: block, component: component, inTail: inTail, places: places, kind: kind)
    )
  }

  private mutating func attention() {
    let plan = weights.plan.attention
    tap(.blockInput, after: .embedding)
    steps.append(
      NormStep(block: block, source: .input, norm: weights.attentionNorm, inTail: false)
    )
    tap(.attentionInput, after: .normalisation)
    steps.append(
      ProjectionStep(
        block: block,
        target: .queryKeyValue,
        projection: weights.queryKeyValue,
        inTail: false
      )
    )
    for component in [Component.queryOutput, .keyOutput, .valueOutput] {
      tap(component, after: .projections)
    }
    if let queryNorm = weights.queryNorm, let keyNorm = weights.keyNorm {
      steps.append(
        HeadNormStep(
          block: block,
          heads: plan.heads,
          keyValueHeads: plan.keyValueHeads,
          queryNorm: queryNorm,
          keyNorm: keyNorm
        )
      )
    }
    steps.append(
      RotationStep(
        block: block,
        heads: plan.heads + plan.keyValueHeads,
        headSize: plan.headSize,
        table: weights.rotation
      )
    )
    steps.append(AttentionStep(block: block, attention: Attention(plan)))
    if narrows { steps.append(NarrowStep(block: block)) }
    tap(.attentionValueOutput, inTail: narrows, after: .attention)
    end(
      .attention,
      .attentionOutput,
      projection: weights.attentionOutput,
      norm: weights.attentionPostNorm
    )
  }

  private mutating func mlp() {
    let kernels = GateKernels(weights.plan.mlp.activation)
    steps.append(NormStep(block: block, source: .middle, norm: weights.mlpNorm, inTail: narrows))
    tap(.mlpInput, inTail: narrows, after: .normalisation)
    steps.append(
      ProjectionStep(
        block: block,
        target: .gateUp,
        projection: weights.gateUp,
        inTail: narrows
      )
    )
    if wants(.mlpActivation) {
      steps.append(ActivationStep(block: block, kernels: kernels, inTail: narrows))
      tap(.mlpActivation, inTail: narrows, after: .activation)
      steps.append(GateProductStep(block: block, inTail: narrows))
    } else {
      steps.append(GateStep(block: block, kernels: kernels, inTail: narrows))
    }
    end(.mlp, .mlpOutput, projection: weights.down, norm: weights.mlpPostNorm)
  }

  /// The output product and the sum: one step where nothing stands between them.
  private mutating func end(
    _ branch: Branch,
    _ component: Component,
    projection: Projection,
    norm: NormWeights?
  ) {
    let places = BranchPlaces(
      block: block,
      branch: branch,
      inTail: narrows,
      keepsProduct: norm != nil
    )
    guard wants(component) || norm != nil || projection.bias != nil else {
      steps.append(AddedProductStep(places: places, weight: projection.weight))
      return
    }
    steps.append(OutputProductStep(places: places, projection: projection))
    tap(component, inTail: narrows, places: places, after: .projections)
    steps.append(SumStep(places: places, norm: norm))
  }
}
