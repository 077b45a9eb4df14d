// SPDX-License-Identifier: Apache-2.0
// The attention of a block on the card, forward and back. What it ends with is in BranchEnd.

import ReFTModel
import ReFTTensor

extension DevicePass {
  /// From the stream entering a block to the weighted values, edited where somebody wants it.
  ///
  /// - Returns: what the output product reads, [T, queryWidth].
  func attentionForward(_ block: Int) throws -> DevicePointer {
    let (weights, plan) = (weights.blocks[block], weights.blocks[block].plan.attention)
    let d = shape.hiddenSize
    let input = try stream(block)
    try tap(.blockInput, block, float(input))
    let rows = try act(.queryKeyValue, block, headsWidth)
    let projection = weights.queryKeyValue
    let parts = [Component.queryOutput, .keyOutput, .valueOutput]
    if let norm = weights.attentionNorm,
      takesNorm(projection.matrix, block, parts + [.attentionInput])
    {
      try operations.multiply(
        FewProduct(
          matrix: projection.matrix,
          rows: self.rows,
          input: .stream(input, norm),
          bias: projection.bias,
          output: .activations(rows)
        )
      )
    } else {
      let normed = try act(.normed, d)
      try read(weights.attentionNorm, input, to: normed)
      try tap(.attentionInput, block, activations(normed, d))
      try operations.multiply(
        projection.matrix,
        rows: self.rows,
        normed,
        to: rows,
        isFloat: false,
        isFew: isFew
      )
      try finishPending(projection.matrix, weights.attentionNorm, input, y: rows)
      try operations.addBias(rows: self.rows, projection.bias, to: rows, isFloat: false)
      try updates?.add(.queryKeyValue, block, self, x: normed, y: rows, isFloat: false)
      for component in parts {
        try tap(component, block, heads(component, rows), source: activations(normed, d))
      }
    }
    try normHeads(block, rows)
    return try attend(block, plan, rows)
  }

  /// Whether few rows are normed by the product that reads them, since nobody looks between.
  func takesNorm(_ matrix: DeviceMatrix, _ block: Int, _ components: [Component]) -> Bool {
    isFew && !isNormed && updates == nil && operations.takesNorm(matrix, rows: rows)
      && !components.contains { wants($0, block) }
  }

  /// Norms queries and keys, keeping them as they were where the way back will come.
  private func normHeads(_ block: Int, _ rows: DevicePointer) throws(ReFTError) {
    let norms = headNorms(block)
    guard !norms.isEmpty else { return }
    let width = shape.queryWidth + shape.keyValueWidth
    if keeps(block) {
      let bare = try act(.bareHeads, block, width)
      try operations.copyColumns(
        rows: self.rows,
        width: width,
        rows,
        stride: headsWidth,
        to: bare
      )
    }
    for own in norms {
      try operations.headNorm(
        rows: self.rows,
        stride: headsWidth,
        offset: own.offset,
        width: own.width,
        own.norm,
        rows
      )
    }
  }

  /// The norms of queries and of keys, with the columns of a row that they norm.
  private func headNorms(_ block: Int) -> [(norm: DeviceNorm, offset: Int, width: Int)] {
    let weights = weights.blocks[block]
    guard let query = weights.queryNorm, let key = weights.keyNorm else { return [] }
    return [(query, 0, shape.queryWidth), (key, shape.queryWidth, shape.keyValueWidth)]
  }

  private func rotate(
    _ plan: ModelPlan.Attention,
    _ rotation: DeviceRotation,
    _ rows: DevicePointer,
    sign: Float
  ) throws(ReFTError) {
    try operations.rotate(
      rows: self.rows,
      stride: headsWidth,
      heads: plan.heads + plan.keyValueHeads,
      headSize: plan.headSize,
      rotation,
      positions: positions,
      sign: sign,
      rows
    )
  }

  private func attend(
    _ block: Int,
    _ plan: ModelPlan.Attention,
    _ rows: DevicePointer
  ) throws -> DevicePointer {
    let out = try act(.mixed, block, shape.queryWidth)
    if isFew, let caches {
      try caches.attend(self, block, rows, to: out)
    } else {
      if let rotation = weights.blocks[block].rotation {
        try rotate(plan, rotation, rows, sign: 1)
      }
      try caches?.store(self, block, rows)
      try operations.attention(
        plan,
        queries: rows,
        stride: headsWidth,
        spans: try spans(block),
        tiles: queryTiles,
        tileCount: queryTileCount,
        to: out,
        logSumExp: keeps(block) ? try floats(.logSumExp, block, plan.heads) : nil
      )
    }
    guard wants(.attentionValueOutput, block) else { return out }
    // The way back needs the attention's own output.
    let edited = try act(.mixedEdited, shape.queryWidth)
    try device.copy(out, to: edited, self.rows * shape.queryWidth * operations.actSize)
    try tap(.attentionValueOutput, block, activations(edited, shape.queryWidth))
    return edited
  }

  /// From d loss / d (what the output product reads) to the stream entering the block.
  func attentionBackward(_ block: Int, _ dMixed: DevicePointer) throws {
    let (weights, plan) = (weights.blocks[block], weights.blocks[block].plan.attention)
    let d = shape.hiddenSize
    try readBackward([.attentionOutput], block, activations(dMixed, shape.queryWidth))
    try tapBackward(.attentionValueOutput, block, activations(dMixed, shape.queryWidth))
    let rows = try act(.queryKeyValue, block, headsWidth)
    let gradients = try act(.headGradients, headsWidth)
    let dots = try floats(.dots, plan.heads)
    let out = try act(.mixed, block, shape.queryWidth)
    try operations.attentionBackward(
      plan,
      AttentionPointers(
        rows: rows,
        stride: headsWidth,
        spans: try spans(block),
        spanCount: layout.spans.count,
        out: out,
        dOut: dMixed,
        outStride: shape.queryWidth,
        logSumExp: try floats(.logSumExp, block, plan.heads),
        dots: dots,
        gradients: gradients
      ),
      rowCount: self.rows,
      queryTiles: (queryTiles, queryTileCount),
      keyTiles: (keyTiles, keyTileCount)
    )
    if let rotation = weights.rotation {
      try rotate(plan, rotation, gradients, sign: -1)
    }
    let width = shape.queryWidth + shape.keyValueWidth
    for own in headNorms(block) {
      try operations.headNormBackward(
        rows: self.rows,
        width: own.width,
        own.norm,
        bare: try act(.bareHeads, block, width),
        bareStride: width,
        offset: own.offset,
        gradients,
        stride: headsWidth
      )
    }
    for component in [Component.valueOutput, .keyOutput, .queryOutput] {
      try tapBackward(component, block, heads(component, gradients))
    }
    try updates?.differentiate(.queryKeyValue, block, self, dy: gradients)
    if taps?.isDone == true { return }
    let normed = try act(.normed, d)
    try operations.multiplyBack(
      weights.queryKeyValue.matrix,
      rows: self.rows,
      gradients,
      to: normed
    )
    try updates?.addInputGradient(.queryKeyValue, block, to: normed)
    let readers: [Component] = [.queryOutput, .keyOutput, .valueOutput]
    try readBackward(readers, block, activations(normed, d))
    try tapBackward(.attentionInput, block, activations(normed, d))
    try readBackward(weights.attentionNorm, try stream(block), normed)
    try readBackward([.blockOutput], block, try streamGradient())
    try tapBackward(.blockInput, block, try streamGradient())
  }

  /// What a branch reads: the stream normed, or as it is.
  func read(
    _ norm: DeviceNorm?,
    _ stream: DevicePointer,
    to normed: DevicePointer
  ) throws(ReFTError) {
    if isNormed {
      // The end of the branch before did it on its way.
      isNormed = false
    } else if let norm {
      try operations.norm(rows: rows, norm, stream, to: normed)
    } else {
      try operations.cast(rows: rows, width: shape.hiddenSize, stream, to: normed)
    }
  }

  /// Adds what a branch's reading means to the stream's gradient, and rounds the sum.
  func readBackward(
    _ norm: DeviceNorm?,
    _ stream: DevicePointer,
    _ normed: DevicePointer
  ) throws(ReFTError) {
    let (gradient, rounded) = (try gradient(), try roundedGradient())
    if let norm {
      try operations.normBackward(
        rows: rows,
        norm,
        of: stream,
        normed,
        to: gradient,
        rounded: rounded
      )
    } else {
      try operations.add(
        rows: rows,
        width: shape.hiddenSize,
        activations: normed,
        to: gradient,
        rounded: rounded
      )
    }
  }

  // MARK: Rows for taps

  /// d loss / d residual stream, with its rounded copy.
  func streamGradient() throws(ReFTError) -> DeviceRows {
    var rows = float(try gradient())
    rows.rounded = try roundedGradient()
    return rows
  }

  func float(_ base: DevicePointer) -> DeviceRows {
    DeviceRows(base: base, stride: shape.hiddenSize, width: shape.hiddenSize, isFloat: true)
  }

  func activations(_ base: DevicePointer, _ width: Int) -> DeviceRows {
    DeviceRows(base: base, stride: width, width: width, isFloat: operations.format == .float32)
  }

  private func heads(_ component: Component, _ base: DevicePointer) -> DeviceRows {
    let offset: Int =
      switch component {
      case .keyOutput: shape.queryWidth
      case .valueOutput: shape.queryWidth + shape.keyValueWidth
      default: 0
      }
    return DeviceRows(
      base: base,
      stride: headsWidth,
      offset: offset,
      width: shape.width(of: component),
      isFloat: operations.format == .float32
    )
  }
}
