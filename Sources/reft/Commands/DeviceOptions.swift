// SPDX-License-Identifier: Apache-2.0
// Where a model runs.

import ArgumentParser
import ReFTCUDA
import ReFTModel
import ReFTTensor

/// The device of a command.
struct DeviceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Where the model runs: cpu, cuda, or cuda:N for card N of several.",
      valueName: "device"
    )
  )
  var device = "cpu"

  /// The card's number; nil for the processor.
  private var ordinal: Int? {
    get throws {
      if device == "cpu" { return nil }
      if device == "cuda" { return 0 }
      if device.hasPrefix("cuda:"), let number = Int(device.dropFirst(5)), (0...63).contains(number)
      {
        return number
      }
      throw ValidationError("--device is '\(device)'; it must be cpu, cuda or cuda:N")
    }
  }

  func validate() throws { _ = try ordinal }

  /// Whether the model runs on a card.
  var isCard: Bool { device != "cpu" }

  /// Opens the device.
  ///
  /// - Parameter expandsWeights: whether a card generates from bfloat16 weights in any case.
  /// - Returns: the device.
  /// - Throws: what is missing, for a card.
  func open(expandsWeights: Bool = false) throws -> any ComputeDevice {
    guard let ordinal = try ordinal else { return ProcessorDevice.shared }
    return try CUDAComputeDevice(ordinal: ordinal, expandsWeights: expandsWeights)
  }

  /// The option once more, as a user types it.
  var words: [String] { device == "cpu" ? [] : ["--device", device] }
}
