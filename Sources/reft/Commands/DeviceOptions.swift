// SPDX-License-Identifier: Apache-2.0
// Where a model runs, and with how many threads.

import ArgumentParser
import Foundation
import ReFTCUDA
import ReFTModel
import ReFTTensor

/// The device and the threads of a command.
struct DeviceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Where the model runs: cpu, cuda, or cuda:N for card N of several.",
      valueName: "device"
    )
  )
  var device = "cpu"

  @Option(
    help: ArgumentHelp(
      "How many threads compute, 1 to 256; without it REFT_THREADS, or one per processor.",
      valueName: "n"
    )
  )
  var threads: Int?

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

  func validate() throws {
    _ = try ordinal
    guard let threads else { return }
    guard (1...256).contains(threads) else {
      throw ValidationError("--threads is \(threads); it must be from 1 to 256")
    }
    // The pool reads its size once, before its first use, and so do workers and runs of a sweep.
    setenv("REFT_THREADS", String(threads), 1)
  }

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

  /// The options once more, as a user types them.
  var words: [String] {
    (device == "cpu" ? [] : ["--device", device])
      + (threads.map { ["--threads", String($0)] } ?? [])
  }
}
