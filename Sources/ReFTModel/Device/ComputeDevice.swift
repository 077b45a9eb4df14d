// SPDX-License-Identifier: Apache-2.0
// The devices that models run on, and the one that is always there.

public import ReFTTensor

/// Something that runs models.
public protocol ComputeDevice: AnyObject, Sendable {
  /// What the device is, for manifests and messages: "cpu", or a card's name.
  var name: String { get }

  /// The arithmetic that results depend on in their last bits, in a word.
  ///
  /// - Parameter precision: as for `makeRuntime`.
  /// - Returns: a name that is the same where the bits are.
  func kernels(_ precision: DecodePrecision) -> String

  /// Prepares passes through a model.
  ///
  /// - Parameters:
  ///   - model: the model; kept alive by the runtime.
  ///   - purpose: what the runtime is for.
  ///   - precision: of the activations of decoded tokens; `float32` asks the whole runtime for
  ///     float32 arithmetic.
  /// - Returns: a runtime with memory of its own.
  /// - Throws: what the device reports, for instance that the model does not fit.
  func makeRuntime(
    _ model: FrozenModel,
    for purpose: RuntimePurpose,
    precision: DecodePrecision
  ) throws(ReFTError) -> any DeviceRuntime

  /// The most bytes of its own memory that this process had at one time; nil where the device has
  /// none of its own.
  var peakMemory: Int? { get }

  /// How many tokens a training pass may have so that what it keeps fits the device.
  ///
  /// - Parameters:
  ///   - model: the model.
  ///   - block: the lowest block whose backward pass runs.
  ///   - updates: floats that updates of products keep of a row.
  ///   - precision: as for `makeRuntime`.
  /// - Returns: at least 1.
  /// - Throws: what the device reports, for instance that the model does not fit.
  func tokenBudget(
    _ model: FrozenModel,
    keptFrom block: Int,
    updates: Int,
    precision: DecodePrecision
  ) throws(ReFTError) -> Int
}

extension ComputeDevice {
  /// It works in the machine's memory.
  public var peakMemory: Int? { nil }
}

/// What a runtime is for.
public enum RuntimePurpose: Sendable {
  /// Whole batches, forward and perhaps backward.
  case batches
  /// Sequences that grow token by token.
  case generation
}

/// The processor that this program runs on.
public final class ProcessorDevice: ComputeDevice {
  /// The one device of its kind.
  public static let shared = ProcessorDevice()

  /// "cpu".
  public let name = "cpu"

  private init() {}

  /// The instruction sets of the processor's kernels.
  public func kernels(_ precision: DecodePrecision) -> String { Machine.kernels }

  /// A `ModelRuntime`.
  public func makeRuntime(
    _ model: FrozenModel,
    for purpose: RuntimePurpose,
    precision: DecodePrecision
  ) throws(ReFTError) -> any DeviceRuntime {
    ModelRuntime(model: model, precision: precision)
  }

  /// As `ModelRuntime.tokenBudget`.
  public func tokenBudget(
    _ model: FrozenModel,
    keptFrom block: Int,
    updates: Int,
    precision: DecodePrecision
  ) throws(ReFTError) -> Int {
    ModelRuntime.tokenBudget(model, keptFrom: block, updates: updates)
  }
}

/// A runtime that is made when it is first needed, since making it may fail.
package final class LazyRuntime {
  private let make: () throws(ReFTError) -> any DeviceRuntime
  /// The runtime, once it is there.
  package private(set) var made: (any DeviceRuntime)?

  /// Describes a runtime of a device.
  package init(_ device: any ComputeDevice, _ model: FrozenModel, precision: DecodePrecision) {
    make = { () throws(ReFTError) in
      try device.makeRuntime(model, for: .batches, precision: precision)
    }
  }

  /// The runtime.
  ///
  /// - Throws: what making it throws.
  package func get() throws(ReFTError) -> any DeviceRuntime {
    if let made { return made }
    let runtime = try make()
    made = runtime
    return runtime
  }
}
