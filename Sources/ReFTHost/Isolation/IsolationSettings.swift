// SPDX-License-Identifier: Apache-2.0
// How workers are run.

import Foundation
import ReFTTensor

/// The bounds of a worker and the place of its executable.
public struct IsolationSettings: Sendable {
  /// Seconds after which a call counts as hanging.
  public var timeoutSeconds: Double
  /// Bytes of address space that the plugin may take beyond what loading it took.
  public var memoryLimit: Int
  /// The executable; nil: `reft-plugin-worker` beside the running program.
  public var workerPath: String?
  /// The folder for capsules of calls that went wrong; nil: none are written.
  public var capsuleFolder: String?
  /// How often a side looks at the shared word before it sleeps: about 20 µs.
  public var spins: UInt32
  /// Whether a worker is used where this machine cannot confine it; what is missing is told.
  public var allowsWeakConfinement = false
  /// How often a call is made before its plugin is quarantined.
  var attempts: Int { isReplay ? 1 : 2 }
  /// Whether a call of a capsule is made again, which teaches nothing new.
  var isReplay = false
  /// What is wrong with a setting that the user gave; every start of a worker throws it.
  var problem: ReFTError?

  /// Bounds with the defaults of `docs/environment.md`.
  public init(
    timeoutSeconds: Double = 30,
    memoryLimit: Int = 2 << 30,
    workerPath: String? = nil,
    capsuleFolder: String? = nil,
    spins: UInt32 = 1000
  ) {
    self.timeoutSeconds = timeoutSeconds
    self.memoryLimit = memoryLimit
    self.workerPath = workerPath
    self.capsuleFolder = capsuleFolder
    self.spins = spins
  }

  /// The defaults, changed by `REFT_ISOLATION_TIMEOUT` (seconds), `REFT_ISOLATION_MEMORY` (MiB),
  /// `REFT_ISOLATION_CONFINEMENT` (full or weak) and `REFT_PLUGIN_WORKER` (absolute path).
  public init(environment: [String: String]) {
    self.init(capsuleFolder: UserFolder.data(environment: environment).map { $0 + "/quarantine" })
    if let text = environment["REFT_ISOLATION_TIMEOUT"] {
      if let value = Double(text), value > 0, value <= 1e6 {
        timeoutSeconds = value
      } else {
        problem = .badVariable("REFT_ISOLATION_TIMEOUT", text, expected: "seconds above 0")
      }
    }
    if let text = environment["REFT_ISOLATION_MEMORY"] {
      if let value = Int(text), (1...1 << 20).contains(value) {
        memoryLimit = value << 20
      } else {
        problem = .badVariable("REFT_ISOLATION_MEMORY", text, expected: "MiB from 1 to 1048576")
      }
    }
    if let text = environment["REFT_ISOLATION_CONFINEMENT"] {
      allowsWeakConfinement = text == "weak"
      if text != "weak", text != "full" {
        problem = .badVariable("REFT_ISOLATION_CONFINEMENT", text, expected: "full or weak")
      }
    }
    if let path = environment["REFT_PLUGIN_WORKER"] {
      if path.hasPrefix("/") {
        workerPath = path
      } else {
        problem = .badVariable("REFT_PLUGIN_WORKER", path, expected: "an absolute path")
      }
    }
  }

  var executable: String? {
    workerPath ?? PluginCatalog.executableFolder.map { $0 + "/reft-plugin-worker" }
  }
}
