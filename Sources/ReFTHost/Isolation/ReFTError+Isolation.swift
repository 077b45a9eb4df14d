// SPDX-License-Identifier: Apache-2.0
// What can go wrong with plugins in a process of their own.

import Foundation
import ReFTTensor

extension ReFTError {
  static func workerNotStarted(_ path: String, reason: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin '\(path)' needs a process of its own, which \(reason)"
    )
  }

  static func workerNotConfined(_ path: String, missing: String) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "plugin '\(path)' is not run: nobody trusts it, and this machine cannot confine its process for want of "
        + "\(missing); `reft doctor` tells more, `reft plugin trust` lets it into this process, and "
        + "REFT_ISOLATION_CONFINEMENT=weak runs it with what there is"
    )
  }

  static func workerInterrupted(_ plugin: String, what: String) -> ReFTError {
    ReFTError(.interrupted, "ended while plugin '\(plugin)' did not come back from \(what)")
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

  static func workerTooLarge(_ plugin: String, what: String, limit: Int) -> ReFTError {
    ReFTError(
      .misbehaved,
      "plugin '\(plugin)': \(what) would need more than the \(limit >> 20) MiB that a plugin in a process of "
        + "its own may have; REFT_ISOLATION_MEMORY gives it more"
    )
  }

  static func workerNonsense(_ plugin: String, _ what: String) -> ReFTError {
    ReFTError(
      .misbehaved,
      "plugin '\(plugin)': its process answered with \(what); no plugin that keeps to its own memory does "
        + "that: do not use it"
    )
  }

  static func workerCannotConfine(_ what: String, error: Int32) -> ReFTError {
    ReFTError(
      .pluginRefused,
      "a stranger's plugin is not run here: its process cannot \(what): \(String(cString: strerror(error))); "
        + "`reft doctor` tells more, `reft plugin trust` lets the plugin into this process, and "
        + "REFT_ISOLATION_CONFINEMENT=weak runs it with what there is"
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
