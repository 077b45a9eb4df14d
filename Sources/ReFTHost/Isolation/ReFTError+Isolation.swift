// SPDX-License-Identifier: Apache-2.0
// What can go wrong with plugins in a process of their own.

import ReFTTensor

extension ReFTError {
  static func workerNotStarted(_ path: String, reason: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin '\(path)' needs a process of its own, which \(reason)"
    )
  }

  static func badVariable(_ name: String, _ found: String, expected: String) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "the environment variable \(name) is '\(found)', expected \(expected); mend it or unset it"
    )
  }

  static func workerDiedLoading(
    _ path: String,
    failure: WorkerFailure,
    capsule: String?
  ) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin '\(path)' cannot be loaded: its process \(failure.description) while loading it, twice"
        + (capsule == nil ? "" : ", so it is quarantined")
        + "; `reft plugin check \(path)` tells its author more"
    )
  }

  static func workerDied(_ plugin: String, reason: String, capsule: String?) -> ReFTError {
    let replay =
      capsule.map {
        "; the call is kept in '\($0)' and `reft plugin check --replay` runs it again"
      } ?? ""
    return ReFTError(
      .misbehaved,
      "plugin '\(plugin)' is quarantined: \(reason), the second time over the same call\(replay)"
    )
  }

  static func callFailedAgain(_ plugin: String, reason: String) -> ReFTError {
    ReFTError(
      .misbehaved,
      "plugin '\(plugin)': \(reason), as when it was quarantined; mend the plugin and replay again"
    )
  }

  static func workerAnswer(_ plugin: String, _ fault: String) -> ReFTError {
    ReFTError(
      .misbehaved,
      "plugin '\(plugin)': its process answered that \(fault); no plugin that keeps to its own memory "
        + "does that: do not use it"
    )
  }

  static func workerDisagrees(_ plugin: String) -> ReFTError {
    ReFTError(
      .misbehaved,
      "plugin '\(plugin)' states other parameters after its process was started again; "
        + "`reft plugin check` tells its author more"
    )
  }

  static func workerProtocol(_ what: String) -> ReFTError {
    ReFTError(
      .internalFault,
      "host and worker do not understand one another: \(what); both must be of the same build"
    )
  }

  static func badCapsule(_ path: String, reason: String) -> ReFTError {
    ReFTError(
      .badData,
      "capsule '\(path)' cannot be read: \(reason); it is a file that reft wrote when a "
        + "plugin was quarantined"
    )
  }
}
