// SPDX-License-Identifier: Apache-2.0
// The seam between those who run a model and the device that does the arithmetic.

public import ReFTTensor

/// The keys and values of one sequence, wherever they lie.
public protocol SequenceCache: AnyObject {
  /// How many tokens are held.
  var count: Int { get }
  /// How many tokens may be held at most.
  var capacity: Int { get }
  /// Forgets the tokens from `count` on.
  ///
  /// - Throws: `usage` where blocks with a window have given back the keys that the next token would
  ///   see; nothing is forgotten then.
  func truncate(to count: Int) throws(ReFTError)
}

/// Runs batches through one model on one device: the only thing that drives a model's blocks.
///
/// Training, scoring, generation and serving know no more of a device than this. All calls come from
/// one thread; a label's loss and a sequence's logits have the same bits on the same device whatever
/// other sequences are in the batch.
public protocol DeviceRuntime: AnyObject {
  /// The model.
  var model: FrozenModel { get }
  /// What this runtime can do.
  var capabilities: ModelRuntime.Capabilities { get }

  /// Where the edits of the last pass ran; nil where there is one place alone.
  var editPlaces: EditPlaces? { get }

  /// Negative log likelihood in nats of each label, in the order of `batch.labels`.
  ///
  /// - Parameters:
  ///   - batch: the sequences.
  ///   - editor: edits hidden states; nil for the frozen model.
  ///   - start: where to start instead of at the embeddings.
  /// - Returns: one number per label.
  /// - Throws: `badData` for tokens or lengths that the model does not allow, `usage` for a start
  ///   or a site that does not fit, what the editor or the device reports.
  func loss(
    _ batch: PackedBatch,
    editor: (any HiddenStateEditor)?,
    from start: BlockInput?
  ) throws -> [Float]

  /// The same, and the backward pass of scale × Σ nll, which calls the editor's edits in reverse.
  func lossAndGradient(
    _ batch: PackedBatch,
    editor: any HiddenStateEditor,
    scale: Float,
    from start: BlockInput?
  ) throws -> [Float]

  /// The same, and the backward pass of Σ slope × nll, whose slopes are known once all losses are.
  ///
  /// - Parameters:
  ///   - batch: the sequences.
  ///   - editor: edits hidden states, and takes their gradients.
  ///   - start: where to start instead of at the embeddings.
  ///   - slopes: the derivative of the whole by each label's loss, given all of them.
  /// - Returns: one number per label.
  /// - Throws: as `loss`.
  func lossAndGradient(
    _ batch: PackedBatch,
    editor: any HiddenStateEditor,
    from start: BlockInput?,
    slopes: (_ losses: [Float]) -> [Float]
  ) throws -> [Float]

  /// The unedited residual stream entering `block`, to be kept across epochs.
  func blockInput(_ block: Int, of batch: PackedBatch) throws -> BlockInput

  /// The final hidden states of some tokens, [tokens, d], after the final norm, in this process's
  /// memory until `body` returns.
  func hiddenStates(
    of batch: PackedBatch,
    at tokens: [Int32],
    editor: (any HiddenStateEditor)?,
    from start: BlockInput?,
    _ body: (_ states: UnsafePointer<Float>) throws -> Void
  ) throws

  /// The same, and the backward pass from the gradient that `body` fills.
  func hiddenStatesAndGradient(
    of batch: PackedBatch,
    at tokens: [Int32],
    editor: any HiddenStateEditor,
    from start: BlockInput?,
    _ body: (
      _ states: UnsafePointer<Float>, _ gradient: UnsafeMutablePointer<Float>?
    ) throws -> Void
  ) throws

  /// A cache for one sequence of at most `capacity` tokens.
  func makeSequenceCache(capacity: Int) throws(ReFTError) -> any SequenceCache

  /// Runs the new tokens of each sequence and appends them to its cache, made by this runtime.
  ///
  /// - Returns: the logits of each sequence's last token, [sequences, vocabularySize], valid until
  ///   the next call.
  /// - Throws: as `loss`; the caches are then as they were.
  func step(
    sequences: [SequenceStep],
    editor: (any HiddenStateEditor)?
  ) throws -> UnsafeMutableBufferPointer<Float>

  /// The same, where each sequence's likeliest token is all that is wanted.
  ///
  /// - Returns: one token a sequence; nil, with nothing done, where the logits lie in the memory of
  ///   this process anyway and `step` gives them at no cost.
  /// - Throws: as `step`.
  func likeliestTokens(
    sequences: [SequenceStep],
    editor: (any HiddenStateEditor)?
  ) throws -> [LikeliestToken]?

  /// Gives back memory of caches that nobody uses now.
  func releaseUnusedMemory()
}

/// The token that a sequence's logits favour.
public struct LikeliestToken: Sendable, Equatable {
  /// The token with the largest logit, the lowest of equal ones; the first whose logit is no finite
  /// number, where there is one.
  public var id: Int32
  /// Its logit.
  public var logit: Float

  /// Names a token.
  public init(id: Int32, logit: Float) { (self.id, self.logit) = (id, logit) }
}

/// How many edits of a pass ran where the model does, by kernels of their plugins, and how many in this
/// process.
public struct EditPlaces: Sendable, Equatable {
  /// On the device.
  public var onDevice: Int
  /// Here, by the plugins' own functions.
  public var onHost: Int

  /// Counts them.
  package init(onDevice: Int, onHost: Int) { (self.onDevice, self.onHost) = (onDevice, onHost) }
}

/// The next tokens of one sequence.
public struct SequenceStep {
  /// Its keys and values.
  public var cache: any SequenceCache
  /// At least one token.
  public var tokens: [Int32]

  /// Describes a sequence's part of a step.
  public init(cache: any SequenceCache, tokens: [Int32]) {
    (self.cache, self.tokens) = (cache, tokens)
  }
}

extension KVCache: SequenceCache {}

extension ModelRuntime: DeviceRuntime {
  /// Nil: the model runs here, as edits do.
  public var editPlaces: EditPlaces? { nil }

  /// `makeCache`.
  public func makeSequenceCache(capacity: Int) throws(ReFTError) -> any SequenceCache {
    try makeCache(capacity: capacity)
  }

  /// `step` for caches of this runtime.
  public func step(
    sequences: [SequenceStep],
    editor: (any HiddenStateEditor)?
  ) throws -> UnsafeMutableBufferPointer<Float> {
    let own = try sequences.map { sequence in
      guard let cache = sequence.cache as? KVCache else { throw ReFTError.cacheOfOtherDevice() }
      return (cache: cache, tokens: sequence.tokens)
    }
    return try step(own, editor: editor)
  }

  /// Nil: the logits are here.
  public func likeliestTokens(
    sequences: [SequenceStep],
    editor: (any HiddenStateEditor)?
  ) throws -> [LikeliestToken]? { nil }

  /// Gives the pages that no sequence holds back to the system.
  public func releaseUnusedMemory() { cachePages.releaseFree() }
}
