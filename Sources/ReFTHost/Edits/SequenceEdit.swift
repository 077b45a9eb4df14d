// SPDX-License-Identifier: Apache-2.0
// What an edit session must know of each sequence of a batch.

/// One sequence of a batch, and the adapters that edit it.
public struct SequenceEdit: Sendable {
  /// The adapters; none leave the sequence alone.
  public var adapters: AdapterStack
  /// Index in the batch of the sequence's first token there.
  public var start: Int
  /// Number of its tokens in the batch.
  public var count: Int
  /// Number of tokens of the whole prompt, wherever in it the batch's tokens lie.
  public var promptLength: Int
  /// The prompt's tokens; only positions that look for a text read them.
  public var promptTokens: ArraySlice<Int32>
  /// Position in the sequence of its first token in the batch: 0 when the prompt begins there.
  public var position: Int
  /// Names the sequence for dropout, whose mask then does not depend on how a batch is split; nil:
  /// its index.
  public var example: Int32?
  /// Names the sequence in any batch, where `example` has not the room; nil: what `example` says.
  public var key: Int64?
  /// Which subspace plugins that know several edit it in; nil: all of them.
  public var subspace: Int32?
  /// What plugins keep of the sequence from pass to pass; nil: this pass is all of it.
  public var state: SequenceState?
  /// The rows of its source prompt, for plugins that need them.
  public var counterpart: CounterpartRows?

  /// Describes a sequence under one adapter, or none.
  public init(
    adapter: Adapter?,
    start: Int,
    count: Int,
    promptLength: Int,
    promptTokens: ArraySlice<Int32> = [],
    position: Int = 0,
    example: Int32? = nil,
    key: Int64? = nil,
    state: SequenceState? = nil
  ) {
    self.init(
      adapters: AdapterStack(adapter),
      start: start,
      count: count,
      promptLength: promptLength,
      promptTokens: promptTokens,
      position: position,
      example: example,
      key: key,
      state: state
    )
  }

  /// Describes a sequence under several adapters.
  public init(
    adapters: AdapterStack,
    start: Int,
    count: Int,
    promptLength: Int,
    promptTokens: ArraySlice<Int32> = [],
    position: Int = 0,
    example: Int32? = nil,
    key: Int64? = nil,
    state: SequenceState? = nil
  ) {
    self.adapters = adapters
    self.start = start
    self.count = count
    self.promptLength = promptLength
    self.promptTokens = promptTokens
    self.position = position
    self.example = example
    self.key = key
    self.state = state
  }
}
