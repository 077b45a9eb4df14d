// SPDX-License-Identifier: Apache-2.0
// Loads plugins into workers, and says what is known of a worker.

package import ReFTTensor

/// What a worker has given up.
package struct WorkerConfinement: OptionSet, Sendable {
  package let rawValue: Int
  package init(rawValue: Int) { self.rawValue = rawValue }

  /// It cannot gain rights by running other programs.
  package static let noNewPrivileges = WorkerConfinement(rawValue: 1)
  /// A filter leaves it memory, threads and clocks.
  package static let systemCalls = WorkerConfinement(rawValue: 2)
}

/// Loads plugins into workers.
package enum IsolatedLoader {
  static func load(
    _ bytes: PluginBytes,
    settings: IsolationSettings,
    store: TrustStore?
  ) throws(ReFTError) -> [Plugin] {
    // What can be refused without running anything is refused here.
    try bytes.look()
    let shared = try IsolatedPlugin(bytes, settings: settings, store: store)
    return shared.descriptions.map { description in
      Plugin(description, isolation: .process) { site, options throws(ReFTError) in
        try IsolatedInstance(shared, description, at: site, options: options)
      }
    }
  }

  /// The process of an instance's worker and how often it was started; nil for other instances.
  package static func worker(of instance: any PluginInstance) -> (process: Int32?, starts: Int)? {
    (instance as? IsolatedInstance)?.worker
  }

  /// What the worker of an instance has given up; nil for other instances.
  package static func confinement(of instance: any PluginInstance) -> WorkerConfinement? {
    (instance as? IsolatedInstance)?.confinement
  }

  /// Loads a plugin or a manifest into a worker of its own.
  package static func load(
    _ file: PluginFile,
    settings: IsolationSettings,
    store: TrustStore? = nil
  ) throws(ReFTError) -> [Plugin] {
    try load(try PluginBytes(file), settings: settings, store: store)
  }
}
