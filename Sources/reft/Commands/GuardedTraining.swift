// SPDX-License-Identifier: Apache-2.0
// Training that Ctrl-C ends with everything saved, also while a plugin does not come back.

import Foundation
import ReFTHost
import ReFTTensor
import ReFTTraining

/// Runs trainers for commands.
enum GuardedTraining {
  /// Trains to the end.
  ///
  /// - Parameters:
  ///   - trainer: what trains.
  ///   - mode: what to do where the run folder holds a run.
  ///   - resumeCommand: how the user goes on after an interruption.
  ///   - stop: set when the user wants the run to end, also by this call.
  ///   - observer: receives the run's events.
  /// - Returns: what the run came to.
  /// - Throws: what the trainer throws; a process that a plugin holds ends here, after saving.
  @discardableResult
  static func run(
    _ trainer: Trainer,
    mode: Trainer.Mode,
    resumeCommand: String,
    stop: StopFlag = StopFlag(),
    observer: (TrainingEvent) -> Void
  ) throws -> TrainingSummary {
    let over = StopFlag()
    // Sendable in effect: another thread saves the run only while its own is held by a plugin.
    nonisolated(unsafe) let held = trainer
    let interruption = Interruption {
      stop.set()
      ForeignCalls.cancel()
      guard let call = ForeignCalls.stuckCall(patienceSeconds: 0.5, until: { over.isSet }) else {
        return
      }
      end(held, heldBy: call, resumeCommand)
    }
    ForeignCalls.setLastWords {
      held.rescue().map { "the run is saved as of step \($0); go on with: \(resumeCommand)" }
    }
    return try withExtendedLifetime(interruption) {
      defer {
        over.set()
        ForeignCalls.setLastWords(nil)
      }
      return try trainer.run(
        mode: mode,
        resumeCommand: resumeCommand,
        stop: stop,
        observer: observer
      )
    }
  }

  /// Ends the process in place of the run's own thread, which a plugin does not let go.
  private static func end(
    _ trainer: Trainer,
    heldBy call: ForeignCalls.Stuck,
    _ resumeCommand: String
  ) -> Never {
    let step = trainer.rescue()
    let error = Trainer.heldByPlugin(call, savedStep: step, command: resumeCommand)
    Output.tell("error: \(error.description)\n")
    _exit(error.code.exitStatus)
  }
}
