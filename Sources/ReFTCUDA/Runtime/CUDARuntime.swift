// SPDX-License-Identifier: Apache-2.0
// The driver of a model's blocks on a card. What passes over batches return is in CUDARuntime+Batches,
// steps of generation are in CUDARuntime+Generation.

package import ReFTModel
package import ReFTTensor

/// Runs batches through one model on a card.
///
/// Activations and weights are bfloat16 with float32 sums, or all float32; the residual stream and its
/// gradient are float32 always. Equal input gives equal bits on the same card.
package final class CUDARuntime: DeviceRuntime {
  /// The model.
  package let model: FrozenModel
  /// The card.
  package let device: CUDADevice
  let operations: Operations
  let weights: DeviceWeights
  let pass: DevicePass
  let exchange: PinnedExchange
  let forms: DeviceForms
  let updates: DeviceUpdates
  var hostLogits: PinnedMemory?
  var graphs: [Int: DecodeGraph] = [:]

  /// Copies a model to the card.
  ///
  /// - Parameters:
  ///   - model: the model.
  ///   - device: the card.
  ///   - isExact: whether all arithmetic is float32.
  ///   - keepsQuantised: whether weights stay in the file's blocks where decoding reads them faster.
  /// - Throws: what the card reports, for instance that there is no room.
  package init(
    model: FrozenModel,
    device: CUDADevice,
    isExact: Bool,
    keepsQuantised: Bool = false
  ) throws(ReFTError) {
    (self.model, self.device) = (model, device)
    for block in model.plan.blocks where block.attention.headSize > KernelShapes.largestHead {
      throw .headTooLarge(block.attention.headSize, model.path)
    }
    operations = Operations(device, format: isExact ? .float32 : .bfloat16)
    let loader = WeightLoader(operations, keepsQuantised: keepsQuantised && !isExact)
    weights = try DeviceWeights(model, loader)
    pass = DevicePass(operations, weights, model.configuration)
    exchange = PinnedExchange(device)
    forms = DeviceForms(device)
    updates = DeviceUpdates(operations)
  }

  /// How many edits of the last pass had a device form, and how many had not.
  package private(set) var editPlaces: EditPlaces?

  /// Notes where the edits of a pass run.
  func note(_ editor: (any HiddenStateEditor)?) {
    guard let editor else { return }
    let all = editor.sites.reduce(0) { $0 + editor.edits(at: $1).count }
    editPlaces = EditPlaces(onDevice: forms.count, onHost: all - forms.count)
  }

  /// Brings edits and updates of a pass to the card.
  ///
  /// - Throws: what a plugin or the card reports.
  func begin(_ editor: (any HiddenStateEditor)?, goesBack: Bool = false) throws {
    try forms.begin(editor)
    note(editor)
    try updates.begin(editor?.productUpdates, pass)
    pass.updates = updates.productCount > 0 ? updates : nil
    pass.taps = editor.map { editor in
      DeviceTaps(
        editor,
        pass,
        exchange,
        forms: forms,
        products: updates.productCount,
        goesBack: goesBack
      )
    }
  }

  /// What this runtime can do.
  package var capabilities: ModelRuntime.Capabilities {
    ModelRuntime.Capabilities(differentiates: true, device: device.name)
  }

  /// Gives back memory of passes.
  package func releaseUnusedMemory() { pass.memory.release() }

  // MARK: Driving

  /// Runs blocks forward.
  ///
  /// - Throws: what an editor or the card reports.
  func forward(_ blocks: Range<Int>) throws {
    for block in blocks {
      let weights = weights.blocks[block]
      let mixed = try pass.attentionForward(block)
      try pass.endForward(BranchEnd(.attention, block, weights), mixed)
      let hidden = try pass.mlpForward(block)
      try pass.endForward(BranchEnd(.mlp, block, weights), hidden)
      try pass.tap(
        .blockOutput,
        block,
        pass.float(try pass.stream(block + 1)),
        source: pass.float(try pass.stream(block)),
        mayPend: blocks.contains(block + 1) && pass.mayPendBefore(block + 1)
      )
    }
  }

  /// Runs blocks backward until every site has been visited; the stream's gradient and its rounded
  /// copy are those behind the last of them.
  ///
  /// - Throws: as `forward`.
  func backward(from last: Int, to first: Int) throws {
    let taps = pass.taps
    for block in stride(from: last, through: first, by: -1) {
      try tapOutput(block, mayPend: pass.mayPendBehind(block))
      if taps?.isDone == true { return }
      let weights = weights.blocks[block]
      let slopes = try pass.endBackward(BranchEnd(.mlp, block, weights))
      if taps?.isDone == true { return }
      try pass.mlpBackward(block, slopes)
      if taps?.isDone == true { return }
      let mixed = try pass.endBackward(BranchEnd(.attention, block, weights))
      if taps?.isDone == true { return }
      try pass.attentionBackward(block, mixed)
    }
    if first > 0 { try tapOutput(first - 1) }
  }

  private func tapOutput(_ block: Int, mayPend: Bool = false) throws {
    guard pass.wants(.blockOutput, block) else { return }
    try pass.tapBackward(.blockOutput, block, try pass.streamGradient(), mayPend: mayPend)
  }

  /// The final states of some rows after the final norm, activations [count, d].
  ///
  /// - Throws: what the card reports.
  func finalStates(_ count: Int, pick: DevicePointer) throws(ReFTError) -> DevicePointer {
    let d = model.configuration.hiddenSize
    let last = try pass.stream(model.configuration.layers)
    let normed = try pass.act(.finalNormed, d, rows: count)
    if let norm = weights.finalNorm {
      try operations.norm(rows: count, norm, pick: pick, last, to: normed)
    } else {
      try operations.cast(rows: count, width: d, pick: pick, last, to: normed)
    }
    return normed
  }

  func roundGradient() throws(ReFTError) {
    try operations.cast(
      rows: pass.rows,
      width: pass.shape.hiddenSize,
      try pass.gradient(),
      to: try pass.roundedGradient()
    )
  }
}

extension ReFTError {
  static func headTooLarge(_ size: Int, _ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(path): heads have \(size) numbers, and attention on a card has kernels for up to "
        + "\(KernelShapes.largestHead); use --device cpu."
    )
  }
}
