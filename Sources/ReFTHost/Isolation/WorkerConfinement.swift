// SPDX-License-Identifier: Apache-2.0
// What a worker has given up before anything of a plugin is in its memory, and what this machine has to
// make it give up.

import CReFTPlatform
import Foundation

/// What a worker has given up.
package struct WorkerConfinement: OptionSet, Sendable {
  package let rawValue: Int
  package init(rawValue: Int) { self.rawValue = rawValue }

  /// It cannot gain rights by running other programs.
  package static let noNewPrivileges = WorkerConfinement(rawValue: 1)
  /// A filter leaves it memory, threads and clocks.
  package static let systemCalls = WorkerConfinement(rawValue: 2)
  /// It can open no file but the libraries that its plugin needs.
  package static let files = WorkerConfinement(rawValue: 4)
  /// The host is asked about what the filter does not allow.
  package static let told = WorkerConfinement(rawValue: 8)

  /// Without any of these, a stranger's plugin is not run unless the user asks for less.
  package static let required: WorkerConfinement = [.noNewPrivileges, .systemCalls, .files]

  /// What is missing of `required`, in words.
  var missing: String {
    let words: [(WorkerConfinement, String)] = [
      (.noNewPrivileges, "no-new-privileges"), (.systemCalls, "a filter of system calls (seccomp)"),
      (.files, "a bound on files (Landlock)"),
    ]
    return words.filter { !contains($0.0) }.map(\.1).joined(separator: ", ")
  }

  /// What holds of all threads of a process, as the kernel tells this one.
  ///
  /// - Returns: the bits of no-new-privileges and of a filter that this process does not have itself.
  static func observed(of process: Int32) -> WorkerConfinement {
    var (bounds, own) = (reft_worker_bounds_t(), reft_worker_bounds_t())
    guard reft_worker_bounds(process, &bounds) == 0, bounds.threads > 0,
      reft_worker_bounds(getpid(), &own) == 0
    else { return [] }
    var result: WorkerConfinement = []
    if bounds.privileged == 0 { result.insert(.noNewPrivileges) }
    // Kernels before 5.9 do not count filters.
    let isCounted = bounds.fewest_filters > 0
    if bounds.unfiltered == 0, !isCounted || bounds.fewest_filters > own.fewest_filters {
      result.insert(.systemCalls)
    }
    return result
  }
}

/// What this machine has to confine a plugin's process.
public struct MachineConfinement: Sendable {
  /// The version of Landlock, 0 where the kernel has none.
  public let landlockVersion: Int
  /// Whether system calls can be filtered.
  public let hasFilters: Bool
  /// Whether a host can be asked about filtered calls, and so name what was tried.
  public let hasListeners: Bool
  /// Whether shared memory can be sealed against shortening.
  public let hasSeals: Bool

  /// Looks at this machine.
  public init() {
    landlockVersion = Int(reft_landlock_version())
    hasFilters = reft_confinement_filters() == 1
    hasListeners = reft_confinement_listens() == 1
    let file = reft_memory_file("reft-doctor")
    hasSeals = file >= 0
    if file >= 0 { close(file) }
  }

  /// Whether a stranger's plugin can be run.
  public var isComplete: Bool { landlockVersion > 0 && hasFilters && hasSeals }

  /// One line, for `reft doctor`.
  public var description: String {
    let landlock = landlockVersion > 0 ? "Landlock \(landlockVersion)" : "no Landlock"
    let filters =
      hasFilters
      ? "seccomp filters" + (hasListeners ? " that ask the host" : "") : "no seccomp filters"
    return
      "\(landlock), \(filters), \(hasSeals ? "sealed memory" : "no sealed memory"), death signal"
  }
}
