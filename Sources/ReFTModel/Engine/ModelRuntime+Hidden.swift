// SPDX-License-Identifier: Apache-2.0
// The final hidden states of a batch, for heads and embeddings that are not the model's own.

import ReFTTensor

extension ModelRuntime {
  /// Computes the final hidden states of some tokens, after the final norm.
  ///
  /// A sequence's states have the same bits whatever other sequences are in the batch.
  ///
  /// - Parameters:
  ///   - batch: the sequences; its labels are not looked at.
  ///   - tokens: the batch indices of the tokens whose states are wanted, ascending.
  ///   - editor: edits hidden states; nil for the frozen model.
  ///   - start: where to start instead of at the embeddings.
  ///   - body: receives the states, [tokens, d], valid until it returns; not called without tokens.
  /// - Throws: as `loss`, or what `body` throws.
  public func hiddenStates(
    of batch: PackedBatch,
    at tokens: [Int32],
    editor: (any HiddenStateEditor)?,
    from start: BlockInput? = nil,
    _ body: (_ states: UnsafePointer<Float>) throws -> Void
  ) throws {
    try model.checkOutputs(tokens, of: batch)
    try run(batch, outputs: tokens, editor: editor, differentiates: false, from: start) {
      states,
      _ in try body(states)
    }
  }

  /// The same, and the backward pass, which calls the editor's edits in reverse.
  ///
  /// - Parameters:
  ///   - batch: the sequences; its labels are not looked at.
  ///   - tokens: the batch indices of the tokens whose states are wanted, ascending.
  ///   - editor: edits hidden states, and takes their gradients.
  ///   - start: where to start instead of at the embeddings.
  ///   - body: receives the states, [tokens, d], and fills their gradient, of the same shape; nil where
  ///     the editor edits nothing, so that nobody would take it.
  /// - Throws: as `loss`, or what `body` throws.
  public func hiddenStatesAndGradient(
    of batch: PackedBatch,
    at tokens: [Int32],
    editor: any HiddenStateEditor,
    from start: BlockInput? = nil,
    _ body: (
      _ states: UnsafePointer<Float>, _ gradient: UnsafeMutablePointer<Float>?
    ) throws -> Void
  ) throws {
    try model.checkOutputs(tokens, of: batch)
    try run(
      batch,
      outputs: tokens,
      editor: editor,
      differentiates: true,
      from: start,
      end: body
    )
  }
}
