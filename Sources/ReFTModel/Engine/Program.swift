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

  /// Where layers read rows whose gradient edits of their outputs may add to.
  private mutating func read(
    _ place: SourceStep.Place,
    inMLP: Bool = false,
    inTail: Bool = false
  ) {
    let readers = place.readers(inMLP: inMLP).filter { wants($0) }
    guard !readers.isEmpty else { return }
    steps.append(SourceStep(block: block, place: place, readers: readers, inTail: inTail))
  }

  private mutating func attention() {
    let plan = weights.plan.attention
    tap(.blockInput, after: .embedding)
    read(.stream)
    read(.input, weights.attentionNorm, inTail: false)
    tap(.attentionInput, after: .normalisation)
    read(.normed)
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
          widths: (plan.query.rows, plan.key.rows),
          queryNorm: queryNorm,
          keyNorm: keyNorm
        )
      )
    }
    if let table = weights.rotation {
      steps.append(
        RotationStep(
          block: block,
          heads: plan.heads + plan.keyValueHeads,
          headSize: plan.headSize,
          table: table
        )
      )
    }
    steps.append(AttentionStep(block: block, attention: Attention(plan)))
    if narrows { steps.append(NarrowStep(block: block)) }
    tap(.attentionValueOutput, inTail: narrows, after: .attention)
    read(.mixed, inTail: narrows)
    end(
      .attention,
      .attentionOutput,
      projection: weights.attentionOutput,
      norms: (weights.attentionPostNorm, weights.attentionSumNorm)
    )
  }

  /// What a branch reads.
  private mutating func read(_ source: BranchSource, _ norm: NormWeights?, inTail: Bool) {
    if let norm {
      steps.append(NormStep(block: block, source: source, norm: norm, inTail: inTail))
    } else {
      steps.append(CopyStep(block: block, source: source, inTail: inTail))
    }
  }

  private mutating func mlp() {
    read(weights.plan.isParallel ? .input : .middle, weights.mlpNorm, inTail: narrows)
    tap(.mlpInput, inTail: narrows, after: .normalisation)
    read(.normed, inMLP: true, inTail: narrows)
    mlpHidden()
    read(.hidden, inTail: narrows)
    end(
      .mlp,
      .mlpOutput,
      projection: weights.down,
      norms: (weights.mlpPostNorm, weights.mlpSumNorm)
    )
  }

  /// Gate, up and what becomes of them, in one step where nobody looks between.
  private mutating func mlpHidden() {
    let kernels = GateKernels(weights.plan.mlp.activation)
    let hasGate = weights.plan.mlp.gate != nil
    let projection = ProjectionStep(
      block: block,
      target: .mlpInput,
      projection: weights.mlpInput,
      inTail: narrows
    )
    if hasGate, !wants(.mlpActivation), let gated = kernels.gated {
      let gate = GateStep(block: block, kernels: gated, inTail: narrows)
      steps.append(GatedProjectionStep(projection: projection, gate: gate))
      return
    }
    steps.append(projection)
    if hasGate {
      steps.append(ActivationStep(block: block, kernels: kernels, inTail: narrows))
    } else {
      steps.append(PlainActivationStep(block: block, kernels: kernels, inTail: narrows))
    }
    tap(.mlpActivation, inTail: narrows, after: .activation)
    if hasGate { steps.append(GateProductStep(block: block, inTail: narrows)) }
  }

  /// The output product and the sum: one step where nothing stands between them.
  private mutating func end(
    _ branch: Branch,
    _ component: Component,
    projection: Projection,
    norms: (post: NormWeights?, sum: NormWeights?)
  ) {
    let isParallel = weights.plan.isParallel
    let places = BranchPlaces(
      block: block,
      branch: branch,
      inTail: narrows,
      keepsProduct: norms.post != nil || norms.sum != nil,
      isParallel: isParallel
    )
    let isFused =
      !places.keepsProduct && !isParallel && projection.bias == nil && !wants(component)
    guard !isFused else {
      steps.append(AddedProductStep(places: places, weight: projection.weight))
      return
    }
    steps.append(OutputProductStep(places: places, projection: projection))
    tap(component, inTail: narrows, places: places, after: .projections)
    if let norm = norms.sum {
      steps.append(NormedSumStep(places: places, norm: norm))
    } else {
      steps.append(SumStep(places: places, norm: norms.post))
    }
  }
}
