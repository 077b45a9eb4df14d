// SPDX-License-Identifier: Apache-2.0
// A card as a device that models run on: `--device cuda`.

public import ReFTModel
public import ReFTTensor

/// An NVIDIA card.
public final class CUDAComputeDevice: ComputeDevice, @unchecked Sendable {
  // Sendable: a handle to a card, which those who make runtimes use from one thread.

  /// The card.
  package let card: CUDADevice
  /// Whether generation reads weights as bfloat16 even where the file's blocks are smaller.
  private let expandsWeights: Bool

  /// The card's name.
  public var name: String { "cuda: " + card.name }

  /// The card's architecture, and how numbers are rounded.
  public func kernels(_ precision: DecodePrecision) -> String {
    "cuda sm_\(card.capability.major)\(card.capability.minor) "
      + (precision.isExact ? "float32" : "bfloat16")
  }

  /// Opens a card.
  ///
  /// - Parameters:
  ///   - ordinal: its number, from 0, in the driver's order.
  ///   - expandsWeights: whether generation reads weights as bfloat16 even where the file's blocks
  ///     are smaller.
  /// - Throws: what is missing, in a sentence: the driver, a library, the card.
  public convenience init(ordinal: Int = 0, expandsWeights: Bool = false) throws(ReFTError) {
    let card = try CUDADevice.open(ordinal, cache: CUDADevice.userCache)
    // It stays open as long as the process lives: at its end the libraries take down what is theirs,
    // while another thread may hold the last reference.
    _ = Unmanaged.passRetained(card)
    self.init(card, expandsWeights)
  }

  /// Takes a card that is open.
  package init(_ card: CUDADevice, _ expandsWeights: Bool = false) {
    (self.card, self.expandsWeights) = (card, expandsWeights)
  }

  /// The most bytes that weights, passes and the rest held at one time.
  public var peakMemory: Int? { card.memoryUse.peak }

  /// The last runtime for generation, since a conversation asks for one at each turn.
  private var kept: (runtime: CUDARuntime, precision: DecodePrecision)?

  /// A `CUDARuntime`.
  public func makeRuntime(
    _ model: FrozenModel,
    for purpose: RuntimePurpose,
    precision: DecodePrecision
  ) throws(ReFTError) -> any DeviceRuntime {
    guard precision.cache != .int8 else { throw .cacheOnCard(precision.cache.rawValue) }
    if purpose == .generation, let kept, kept.runtime.model === model,
      kept.precision.isExact == precision.isExact
    {
      return kept.runtime
    }
    kept = nil
    let estimate = DeviceMemoryEstimate(
      model,
      isExact: precision.isExact,
      keepsQuantised: purpose == .generation && !expandsWeights
    )
    let free = try card.freeMemory()
    guard estimate.weightBytes < free else {
      throw .modelTooLarge(model.path, needed: estimate.weightBytes, free: free, card: card.name)
    }
    let runtime = try CUDARuntime(
      model: model,
      device: card,
      isExact: precision.isExact,
      keepsQuantised: purpose == .generation && !expandsWeights
    )
    if purpose == .generation { kept = (runtime, precision) }
    return runtime
  }

  /// The card's own limits, measured now: bfloat16 products and copies.
  ///
  /// - Throws: what the card reports.
  public func measurePeaks() throws(ReFTError) -> (flops: Double, bytesPerSecond: Double) {
    let peaks = try card.measurePeaks()
    return (peaks.bfloat16Flops, peaks.bytesPerSecond)
  }

  /// The most bytes that a pass keeps for its way back, on cards with less than eight times as much
  /// free: longer passes are no faster.
  static let mostKeptBytes = 16 << 30

  /// How many tokens a pass may have so that what it keeps fits beside the weights.
  public func tokenBudget(
    _ model: FrozenModel,
    keptFrom block: Int,
    updates: Int,
    precision: DecodePrecision
  ) throws(ReFTError) -> Int {
    let estimate = DeviceMemoryEstimate(model, isExact: precision.isExact)
    let room = try card.freeMemory() - estimate.weightBytes
    let blocks = max(1, model.configuration.layers - block)
    let kept =
      blocks * estimate.keptBytesPerToken + updates * (precision.isExact ? 4 : 2)
    let whole = kept + estimate.passBytesPerToken
    let bytes = min(max(Self.mostKeptBytes, room / 8), room / 10 * 8)
    guard bytes / whole >= 1 else {
      throw .modelTooLarge(
        model.path,
        needed: estimate.weightBytes + whole * 256,
        free: room,
        card: card.name
      )
    }
    return min(1 << 15, bytes / whole)
  }
}
