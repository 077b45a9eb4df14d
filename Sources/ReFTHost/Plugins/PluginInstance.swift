// SPDX-License-Identifier: Apache-2.0
// One intervention with its options and width, wherever it runs: in this process, in a worker, or
// behind libffi. The host owns all memory that crosses this line.

public import ReFTTensor

/// The memory that calls of an instance need, in bytes.
public struct PluginWorkspace: Sendable, Hashable {
  /// Written by forward for each row, read by the backward of the same rows.
  public var savedPerRow: Int
  /// The same, once for a call.
  public var savedFixed: Int
  /// Contents are undefined at the start of each call.
  public var scratchPerRow: Int
  /// The same, once for a call.
  public var scratchFixed: Int
  /// Kept for each sequence from its prompt to its end; since ABI 1.1.
  public var statePerSequence: Int
  /// Numbers that a row may write to `collected`; since ABI 1.1.
  public var collectedPerRow: Int

  /// Describes the need of an instance.
  public init(
    savedPerRow: Int = 0,
    savedFixed: Int = 0,
    scratchPerRow: Int = 0,
    scratchFixed: Int = 0,
    statePerSequence: Int = 0,
    collectedPerRow: Int = 0
  ) {
    self.savedPerRow = savedPerRow
    self.savedFixed = savedFixed
    self.scratchPerRow = scratchPerRow
    self.scratchFixed = scratchFixed
    self.statePerSequence = statePerSequence
    self.collectedPerRow = collectedPerRow
  }

  /// Bytes to be kept from the forward to the backward call over some rows.
  public func savedByteCount(rows: Int) -> Int { savedFixed + savedPerRow * rows }

  /// Bytes of scratch memory of a call over some rows.
  public func scratchByteCount(rows: Int) -> Int { scratchFixed + scratchPerRow * rows }
}

/// Where the rows of a call come from; any pointer may be nil, each has one value per row.
public struct PluginRows {
  /// Which sequence of the batch; for plugins of ABI 1.0 its key.
  public var example: UnsafePointer<Int32>?
  /// The token's position in it.
  public var position: UnsafePointer<Int32>?
  /// The length of its prompt.
  public var length: UnsafePointer<Int32>?
  /// Which of the rule's locations, −1 where the rule has no list; for plugins of ABI 1.0 a running
  /// number.
  public var location: UnsafePointer<Int32>?
  /// Which subspace the sequence is edited in, −1 for all.
  public var subspace: UnsafePointer<Int32>?
  /// Which adapter of the batch.
  public var adapter: UnsafePointer<Int32>?
  /// 1 for a generated token, in training for one of the completion; since ABI 1.1.
  public var decoded: UnsafePointer<Int32>?
  /// Names the sequence in any batch; since ABI 1.1.
  public var key: UnsafePointer<Int64>?

  /// Rows of which nothing is known.
  public init() {}
}

/// How far a training run is; outside of one, zero of zero steps.
public struct RunProgress: Sendable, Hashable {
  /// Optimiser steps done so far.
  public var step: Int
  /// Those of the whole run, earlier processes included.
  public var totalSteps: Int

  /// States both.
  public init(step: Int = 0, totalSteps: Int = 0) {
    (self.step, self.totalSteps) = (step, totalSteps)
  }
}

/// The arguments of one forward or backward call; all pointers are valid until it returns.
///
/// Matrices are `[rows, dim]` float32 with a column stride of 1 unless said otherwise.
public struct PluginCall {
  /// The number of rows, at least 1.
  public var rows: Int
  /// The input.
  public var x: UnsafeMutablePointer<Float>
  /// Floats from one row of `x` to the next.
  public var xStride: Int
  /// What the layer that made the rows read, for plugins that need it; a backward call has the rows of
  /// its forward call.
  public var source: UnsafePointer<Float>?
  /// Floats from one row of `source` to the next.
  public var sourceStride = 0
  /// Backward: d loss / d source, overwritten, for plugins that give it; nil: not wanted.
  public var dsource: UnsafeMutablePointer<Float>?
  /// Floats from one row of `dsource` to the next.
  public var dsourceStride = 0
  /// Forward: the output, may equal `x` for plugins that promise it.
  public var y: UnsafeMutablePointer<Float>?
  /// Floats from one row of `y` to the next.
  public var yStride = 0
  /// Backward: d loss / d y.
  public var dy: UnsafeMutablePointer<Float>?
  /// Floats from one row of `dy` to the next.
  public var dyStride = 0
  /// Backward: d loss / d x, overwritten.
  public var dx: UnsafeMutablePointer<Float>?
  /// Floats from one row of `dx` to the next.
  public var dxStride = 0
  /// One pointer per parameter.
  public var parameters: UnsafePointer<UnsafeRawPointer?>?
  /// Backward: one pointer per parameter, accumulated; nil: not wanted.
  public var parameterGradients: UnsafePointer<UnsafeMutableRawPointer?>?
  /// The number of parameters.
  public var parameterCount = 0
  /// Whether memory behind the outputs is the caller's to mark: 16 floats behind the last row, and what
  /// `ParameterStore` leaves behind each parameter's gradient, which is zero.
  public var ownsBehindOutput = false
  /// Where the rows come from.
  public var origins = PluginRows()
  /// Whether dropout is on and values for the backward call are saved.
  public var isTraining = false
  /// What forward leaves for backward.
  public var saved: UnsafeMutableRawPointer?
  /// Bytes at `saved`.
  public var savedByteCount = 0
  /// Memory for the duration of the call.
  public var scratch: UnsafeMutableRawPointer?
  /// Bytes at `scratch`.
  public var scratchByteCount = 0
  /// Which random numbers: the same key and step give the same numbers.
  public var randomKey: UInt64 = 0
  /// The step of the random stream.
  public var randomStep: UInt64 = 0
  /// The same rows in a run over another prompt, for plugins that need it.
  public var counterpart: UnsafePointer<Float>?
  /// Floats from one row of `counterpart` to the next.
  public var counterpartStride = 0
  /// Forward: what the plugin tells of each row, `[rows, collectedWidth]`; nil when nobody asks.
  public var collected: UnsafeMutablePointer<Float>?
  /// Numbers of a row of `collected`.
  public var collectedWidth = 0
  /// Forward: one pointer per row, to the state of its sequence; nil for plugins without a state.
  public var states: UnsafePointer<UnsafeMutableRawPointer?>?
  /// Bytes of a state.
  public var stateByteCount = 0
  /// How far a training run is.
  public var progress = RunProgress()
  /// Forward: where plugins with a loss of their own add it, summed over the rows; nil: not wanted.
  public var auxiliary: UnsafeMutablePointer<Double>?
  /// Backward: d loss / d (what forward added there).
  public var auxiliaryGradient = 0.0

  /// A call over rows, with everything else absent.
  public init(rows: Int, x: UnsafeMutablePointer<Float>, xStride: Int) {
    self.rows = rows
    self.x = x
    self.xStride = xStride
  }
}

/// What a plugin has cost so far.
public struct PluginUsage: Sendable, Hashable {
  /// Forward calls.
  public var forwardCalls = 0
  /// Wall time in forward calls; of calls over few rows an estimate from a sample.
  public var forwardNanoseconds = 0
  /// Backward calls.
  public var backwardCalls = 0
  /// Wall time in backward calls.
  public var backwardNanoseconds = 0
  /// Rows edited by forward calls.
  public var rows = 0

  /// Nothing yet.
  public init() {}

  /// Adds the cost of another instance.
  public mutating func add(_ other: PluginUsage) {
    forwardCalls += other.forwardCalls
    forwardNanoseconds += other.forwardNanoseconds
    backwardCalls += other.backwardCalls
    backwardNanoseconds += other.backwardNanoseconds
    rows += other.rows
  }
}

/// One intervention with its options, for rows of one width.
///
/// Implementations may be called from any thread and see to it themselves that a plugin without
/// the re-entrancy promise gets one call at a time.
public protocol PluginInstance: AnyObject, Sendable {
  /// The parameters, in the order of the pointers of a call.
  var parameters: [ParameterInfo] { get }

  /// Whether a training call may give a row other numbers in another sequence, or at another draw.
  ///
  /// False only where the plugin promises that in training too its numbers depend on x and the
  /// parameters alone; where that is not known, sequences never share a row.
  var dependsOnSequence: Bool { get }

  /// The cost of the calls so far.
  var usage: PluginUsage { get }

  /// Fills the parameters whose initialisation is `.custom`; the others are filled already.
  func initialize(_ parameters: [UnsafeMutableRawPointer], seed: UInt64) throws(ReFTError)

  /// The memory that calls of up to `maxRows` rows need.
  func plan(maxRows: Int) throws(ReFTError) -> PluginWorkspace

  /// Writes the edited rows to `call.y`.
  ///
  /// - Throws: `.misbehaved` when the plugin reports a failure or leaves numbers that are not finite.
  func forward(_ call: PluginCall) throws(ReFTError)

  /// Overwrites `call.dx` and accumulates into `call.parameterGradients`.
  func backward(_ call: PluginCall) throws(ReFTError)
}
