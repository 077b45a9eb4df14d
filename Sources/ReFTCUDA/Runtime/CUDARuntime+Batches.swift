// SPDX-License-Identifier: Apache-2.0
// Loss of a packed batch on the card, its gradient down to the lowest edited site, final hidden states
// and block inputs.

package import ReFTModel
import ReFTTensor

extension CUDARuntime {
  /// Negative log likelihood in nats of each label.
  package func loss(
    _ batch: PackedBatch,
    editor: (any HiddenStateEditor)?,
    from start: BlockInput?
  ) throws -> [Float] {
    try losses(batch, editor: editor, scale: nil, from: start)
  }

  /// The same, and the backward pass.
  package func lossAndGradient(
    _ batch: PackedBatch,
    editor: any HiddenStateEditor,
    scale: Float,
    from start: BlockInput?
  ) throws -> [Float] {
    try losses(batch, editor: editor, scale: scale, from: start)
  }

  /// The same, where what each label's loss counts is known once all losses are.
  package func lossAndGradient(
    _ batch: PackedBatch,
    editor: any HiddenStateEditor,
    from start: BlockInput?,
    slopes: (_ losses: [Float]) -> [Float]
  ) throws -> [Float] {
    try losses(batch, editor: editor, scale: 1, from: start, slopes: slopes)
  }

  private func losses(
    _ batch: PackedBatch,
    editor: (any HiddenStateEditor)?,
    scale: Float?,
    from start: BlockInput?,
    slopes: (_ losses: [Float]) -> [Float]? = { _ in nil }
  ) throws -> [Float] {
    guard let head = weights.head else {
      throw ReFTError.predictsNoTokens(model.plan.architecture, model.path)
    }
    var losses = [Float](repeating: 0, count: batch.labels.count)
    try run(
      batch,
      outputs: batch.labelTokens,
      editor: editor,
      differentiates: scale != nil,
      from: start
    ) { request, normed in
      try DeviceLoss(pass, head).losses(
        labels: batch.labels,
        normed,
        scale: scale ?? 1,
        differentiates: request.goesBack,
        into: &losses
      )
      guard request.goesBack, let slopes = slopes(losses) else { return }
      try operations.scaleRows(
        rows: slopes.count,
        width: model.configuration.hiddenSize,
        try pass.lists.put(slopes),
        normed
      )
    }
    return losses
  }

  /// The final hidden states of some tokens.
  package func hiddenStates(
    of batch: PackedBatch,
    at tokens: [Int32],
    editor: (any HiddenStateEditor)?,
    from start: BlockInput?,
    _ body: (_ states: UnsafePointer<Float>) throws -> Void
  ) throws {
    try model.checkOutputs(tokens, of: batch)
    try run(batch, outputs: tokens, editor: editor, differentiates: false, from: start) {
      _,
      normed in
      let states = try fetchStates(normed, count: tokens.count)
      try body(states.base)
    }
  }

  /// The same, and the backward pass.
  package func hiddenStatesAndGradient(
    of batch: PackedBatch,
    at tokens: [Int32],
    editor: any HiddenStateEditor,
    from start: BlockInput?,
    _ body: (
      _ states: UnsafePointer<Float>, _ gradient: UnsafeMutablePointer<Float>?
    ) throws -> Void
  ) throws {
    try model.checkOutputs(tokens, of: batch)
    let d = model.configuration.hiddenSize
    try run(batch, outputs: tokens, editor: editor, differentiates: true, from: start) {
      request,
      normed in
      let states = try fetchStates(normed, count: tokens.count)
      guard request.goesBack else { return try body(states.base, nil) }
      let slopes = FloatBuffer(count: tokens.count * d)
      try body(states.base, slopes.base)
      let floats = try pass.floats(.finalFloats, d, rows: tokens.count)
      try device.copyIn(slopes.base, slopes.count * 4, to: floats)
      try operations.cast(rows: tokens.count, width: d, floats, to: normed)
      try device.synchronise()
    }
  }

  private func fetchStates(_ normed: DevicePointer, count: Int) throws(ReFTError) -> FloatBuffer {
    let d = model.configuration.hiddenSize
    let floats = try pass.floats(.finalFloats, d, rows: count)
    try operations.widen(rows: count, width: d, normed, to: floats)
    let states = FloatBuffer(count: count * d)
    try device.copyOut(floats, count * d * 4, to: states.base)
    try device.synchronise()
    return states
  }

  /// The unedited residual stream entering a block.
  package func blockInput(_ block: Int, of batch: PackedBatch) throws -> BlockInput {
    try model.check(batch)
    try model.checkBlock(block)
    let layout = PassLayout(batch, of: model, outputs: batch.labelTokens, editor: nil)
    pass.taps = nil
    (pass.caches, pass.isFew) = (nil, false)
    try pass.begin(layout, sites: [], firstKept: model.configuration.layers)
    try pass.embed()
    try forward(0..<block)
    let d = model.configuration.hiddenSize
    let computed = FloatBuffer(count: layout.rowCount * d)
    try device.copyOut(try pass.stream(block), computed.count * 4, to: computed.base)
    try device.synchronise()
    return try BlockInput(block: block, computed.base, layout, of: batch, width: d)
  }

  /// Runs a pass whose last part is the caller's, who turns the final states, activations [n, d], into
  /// what is wanted and, where the pass goes back, puts their gradient in their place.
  private func run(
    _ batch: PackedBatch,
    outputs tokens: [Int32],
    editor: (any HiddenStateEditor)?,
    differentiates: Bool,
    from start: BlockInput?,
    end: (_ request: BatchPass, _ normed: DevicePointer) throws -> Void
  ) throws {
    let request = try BatchPass(
      model,
      batch,
      outputs: tokens,
      editor: editor,
      differentiates: differentiates,
      from: start
    )
    guard !tokens.isEmpty else { return }
    (pass.caches, pass.isFew) = (nil, false)
    try pass.begin(request.layout, sites: request.sites, firstKept: request.firstKept)
    try begin(editor, goesBack: request.goesBack)
    defer { (pass.taps, pass.updates) = (nil, nil) }
    try begin(start)
    try forward((start?.block ?? 0)..<model.configuration.layers)

    let pick = try pass.lists.put(request.rows)
    let normed = try finalStates(tokens.count, pick: pick)
    try end(request, normed)
    guard request.goesBack else { return try forms.check() }
    let layers = model.configuration.layers
    try finishBackward(normed, pick, tokens.count, try pass.stream(layers))
    try backward(from: layers - 1, to: request.firstKept)
    try forms.end()
    try updates.end()
  }

  /// From the gradient of the final states to that of the last block's output.
  private func finishBackward(
    _ slopes: DevicePointer,
    _ pick: DevicePointer,
    _ count: Int,
    _ last: DevicePointer
  ) throws(ReFTError) {
    let d = model.configuration.hiddenSize
    let gradient = try pass.gradient()
    try device.zero(gradient, pass.rows * d * 4)
    if let norm = weights.finalNorm {
      try operations.normBackward(
        rows: count,
        norm,
        pick: pick,
        of: last,
        slopes,
        to: gradient,
        rounded: nil
      )
    } else {
      let floats = try pass.floats(.finalFloats, d, rows: count)
      try operations.widen(rows: count, width: d, slopes, to: floats)
      try operations.scatter(
        count,
        pick,
        floats,
        old: nil,
        strength: 1,
        to: DeviceRows(base: gradient, stride: d, width: d, isFloat: true)
      )
    }
    try roundGradient()
  }

  /// Fills the residual stream entering the first block that runs; edits of the output just before
  /// are edits of that input.
  private func begin(_ start: BlockInput?) throws {
    guard let start else { return try pass.embed() }
    let d = model.configuration.hiddenSize
    let stream = try pass.stream(start.block)
    if pass.layout.rowOfToken == nil {
      try device.copyIn(start.rows.base, start.rows.count * 4, to: stream)
    } else {
      let rows = FloatBuffer(count: pass.rows * d)
      for token in 0..<start.rows.count / d {
        let row = pass.layout.row(ofToken: Int32(token))
        guard row >= 0 else { continue }
        (rows.base + Int(row) * d).update(from: start.rows.base + token * d, count: d)
      }
      try device.copyIn(rows.base, rows.count * 4, to: stream)
      try device.synchronise()
    }
    if start.block > 0 {
      try pass.tap(.blockOutput, start.block - 1, pass.float(stream))
    }
  }
}
