// SPDX-License-Identifier: Apache-2.0
// How much memory passes take: asked for before they begin, while an error can still be told.

import ReFTTensor

/// The largest passes for which there was room.
struct LargestPasses {
  /// Rows and sequences of a step of generation.
  var step = (rows: 0, sequences: 0)
  /// Rows, labels, kept blocks of a pass of training, and floats that updates keep of a row.
  var training = (rows: 0, labels: 0, kept: 0, updates: 0)
}

extension FrozenModel {
  /// Floats that a block keeps of a row for its way back.
  var keptFloatsPerRow: Int {
    let (shape, block) = (configuration, blocks[0])
    var floats = 2 * shape.hiddenSize + shape.queryWidth + 2 * shape.keyValueWidth + shape.heads
    floats += (block.plan.mlp.gate == nil ? 1 : 2) * shape.feedForwardSize
    if block.queryNorm != nil { floats += shape.queryWidth + shape.keyValueWidth }
    for norm in [
      block.attentionPostNorm, block.attentionSumNorm, block.mlpPostNorm, block.mlpSumNorm,
    ] where norm != nil { floats += shape.hiddenSize }
    return floats
  }

  /// Floats that a step of generation takes for a row.
  var stepFloatsPerRow: Int {
    let shape = configuration
    return 5 * shape.hiddenSize + 2 * shape.queryWidth + 2 * shape.keyValueWidth
      + 3 * shape.feedForwardSize
  }

  /// Floats that a pass of training takes for a row, with the blocks that keep something.
  func trainingFloatsPerRow(kept: Int) -> Int {
    let shape = configuration
    let shared =
      3 * shape.hiddenSize + 2 * shape.queryWidth + 2 * shape.keyValueWidth + shape.feedForwardSize
    return keptFloatsPerRow * (kept + 1) + shared
  }

  /// Floats that the head takes for a label; it keeps eight sums of its row on the way back.
  func headFloatsPerLabel(kept: Int) -> Int { (kept > 0 ? 11 : 2) * configuration.hiddenSize }
}

extension ModelRuntime {
  /// Makes sure of the memory of a step that is larger than those before.
  ///
  /// - Throws: `inputOutput` when the system has no such memory.
  func checkRoom(rows: Int, sequences: Int) throws(ReFTError) {
    guard rows > largest.step.rows || sequences > largest.step.sequences else { return }
    let purpose = MemoryPurpose(
      "reading \(rows) tokens at once",
      remedy: "use shorter prompts or fewer at once"
    )
    let floats = try MemoryRoom.product(rows, model.stepFloatsPerRow, for: purpose)
    let vocabulary = model.configuration.vocabularySize
    let logits = try MemoryRoom.product(sequences, vocabulary, for: purpose)
    try MemoryRoom.check(byteCount: 4 * (floats + logits), for: purpose)
    largest.step = (max(rows, largest.step.rows), max(sequences, largest.step.sequences))
  }

  /// Makes sure of the memory of a pass of training that is larger than those before.
  ///
  /// - Throws: `inputOutput` when the system has no such memory.
  func checkRoom(rows: Int, labels: Int, kept: Int, updates: Int = 0) throws(ReFTError) {
    let known = largest.training
    guard
      rows > known.rows || labels > known.labels || kept > known.kept || updates > known.updates
    else { return }
    let purpose = MemoryPurpose(
      "a pass of \(rows) tokens",
      remedy: "use fewer tokens in a pass (--micro-batch-tokens, 'train.micro_batch_tokens') or "
        + "shorter rows ('data.max_length')"
    )
    let row = model.trainingFloatsPerRow(kept: kept) + updates
    let floats = try MemoryRoom.product(rows, row, for: purpose)
    let head = try MemoryRoom.product(labels, model.headFloatsPerLabel(kept: kept), for: purpose)
    try MemoryRoom.check(byteCount: 4 * (floats + head), for: purpose)
    largest.training = (
      max(rows, known.rows), max(labels, known.labels), max(kept, known.kept),
      max(updates, known.updates)
    )
  }
}
