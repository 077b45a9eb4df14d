// SPDX-License-Identifier: Apache-2.0
// What can go wrong with runs, their folders and their checkpoints.

import Foundation
import ReFTTensor

extension ReFTError {
  private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }

  // MARK: Folders

  static func cannotWrite(_ path: String, errno code: Int32) -> ReFTError {
    ReFTError(
      .inputOutput,
      "cannot write '\(path)': \(reason(code)); \(SystemError(code).remedy)"
    )
  }

  static func cannotMakeRunFolder(_ path: String, error: any Error) -> ReFTError {
    // The system's own word lies below what Foundation says.
    let below = (error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error
    let system = below.map { $0 as NSError }.flatMap { $0.domain == NSPOSIXErrorDomain ? $0 : nil }
    let why = system.map { ": \(reason(Int32($0.code)))" } ?? ""
    return ReFTError(
      .inputOutput,
      "cannot make the run folder '\(path)'\(why); choose another with --output",
      cause: error
    )
  }

  static func runFolderInUse(_ path: String) -> ReFTError {
    ReFTError(
      .usage,
      "another process is training in '\(path)'; wait for it, or choose another --output"
    )
  }

  static func runFolderTaken(
    _ path: String,
    by item: String,
    isLink: Bool = false
  ) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)' holds '\(item)', which is \(isLink ? "a link and " : "")of no run there and would "
        + "be replaced; choose another --output, or move it away"
    )
  }

  static func runFolderIsFile(_ path: String) -> ReFTError {
    ReFTError(.usage, "'\(path)' is a file, and a run needs a folder; choose another --output")
  }

  static func runFinished(_ path: String) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)' holds a finished run; choose another --output, or train it anew with --overwrite"
    )
  }

  static func runUnfinished(_ path: String, step: Int) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)' holds a run that ended after step \(step); go on with --resume, or start anew "
        + "with --overwrite"
    )
  }

  static func interruptedRun(step: Int, totalSteps: Int, command: String) -> ReFTError {
    ReFTError(
      .interrupted,
      "ended after step \(step) of \(totalSteps), all saved; go on with: \(command)"
    )
  }

  static func interruptedSweep(run: Int, of count: Int) -> ReFTError {
    ReFTError(
      .interrupted,
      "ended after run \(run) of \(count), all saved; the same command goes on"
    )
  }

  // MARK: Checkpoints

  static func brokenCheckpoint(_ path: String, _ reason: String, cause: (any Error)? = nil)
    -> ReFTError
  {
    ReFTError(
      .badData,
      "the checkpoint '\(path)' cannot be used: \(reason); remove that folder to go on from the one "
        + "before, or start anew with --overwrite",
      cause: cause
    )
  }

  static func runOfOtherPlugin(_ checkpoint: String, made: String, here: String) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "the run of '\(checkpoint)' was trained with plugin \(made), and the configuration finds \(here), "
        + "another plugin; name \(made) in it to go on, or train anew with another --output"
    )
  }

  static func pluginChangedLayout(
    _ plugin: String,
    changes: [String],
    checkpoint: String,
    hash: String
  ) -> ReFTError {
    let shown = changes.prefix(4).joined(separator: ", ")
    let more = changes.count > 4 ? ", and \(changes.count - 4) more" : ""
    return ReFTError(
      .badConfiguration,
      "plugin '\(plugin)' has other parameters than when the run was saved: \(shown)\(more); the checkpoint "
        + "'\(checkpoint)' is fine: go on with the build that made it (\(hash.prefix(19))…), or train "
        + "anew with another --output"
    )
  }

  static func brokenMetrics(path: String, line: Int, error: any Error) -> ReFTError {
    ReFTError(
      .badData,
      "\(path):\(line): not a record of this program; move the file away to go on",
      cause: error
    )
  }

  static func otherRun(_ path: String, differences: [String]) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "the run in '\(path)' began with other settings: \(differences.joined(separator: "; ")); set "
        + "them back to go on, or train anew with another --output or --overwrite"
        + (differences.contains { $0.contains(".plugin hash was ") }
          ? "; --other-build goes on with another build of a plugin" : "")
    )
  }

  static func cacheLost(_ folder: String, errno code: Int32) -> ReFTError {
    ReFTError(
      .inputOutput,
      "cannot read back the activation cache in '\(folder)': \(reason(code)); go on with --resume, "
        + "or without the cache (train.cache_megabytes: 0)"
    )
  }

  // MARK: Training

  static func diverged(step: Int, what: String, value: Double, rate: Double) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "training diverged: the \(what) is \(value) at step \(step), learning rate \(rate); lower "
        + "'train.learning_rate', add 'train.warmup', or set 'train.clip_norm'"
    )
  }

  static func startDoesNotFit(_ path: String, tensor: String, found: String, expected: String)
    -> ReFTError
  {
    ReFTError(
      .badConfiguration,
      "'train.init_adapter' \(path) does not fit: tensor '\(tensor)' is \(found), expected "
        + "\(expected); use the same plugins, layers, positions and options as it was trained with"
    )
  }

  static func nothingToTrain() -> ReFTError {
    ReFTError(
      .badConfiguration,
      "the interventions have no trainable parameter; choose a plugin or an option that has some"
    )
  }
}
