// SPDX-License-Identifier: Apache-2.0
// Saving a run whose own thread cannot: a plugin holds it, or has ended the process.

import Foundation
public import ReFTHost
public import ReFTTensor

extension Trainer {
  /// Saves the last completed step from another thread, while the run's own is in a plugin's call and
  /// will not leave it any more.
  ///
  /// A call computes losses and gradients; parameters change between calls alone. In a validation the
  /// step that it belongs to is not complete, and the last checkpoint is what counts.
  ///
  /// - Returns: the step that is saved; nil where none is.
  public func rescue() -> Int? {
    guard let run = current else { return nil }
    if run.isAtRest, run.state.step > 0,
      !FileManager.default.fileExists(atPath: checkpoints.path(step: run.state.step))
    {
      try? save(run) { _ in }
    }
    try? writeManifest(run, status: "stopped")
    return try? checkpoints.steps().last
  }

  /// What is told when a plugin's call did not come back after Ctrl-C.
  public static func heldByPlugin(
    _ call: ForeignCalls.Stuck,
    savedStep: Int?,
    command: String
  ) -> ReFTError {
    let saved =
      savedStep.map { "saved as of step \($0); go on with: \(command)" }
      ?? "nothing is there to be saved"
    return ReFTError(
      .interrupted,
      "ended while plugin '\(call.plugin)' did not come back from \(call.function); \(saved)"
    )
  }
}
