// SPDX-License-Identifier: Apache-2.0
// Loads plugins into workers, and says what is known of a worker.

package import ReFTTensor

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
      Plugin(description, isolation: .process) {
        site,
        options,
        inputs throws(ReFTError) in
        try IsolatedInstance(shared, description, at: site, options: options, inputs: inputs)
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

  /// What the plugin of an instance tried in vain, in words that follow "tried"; nil for other instances.
  package static func attempts(of instance: any PluginInstance) -> Set<String>? {
    (instance as? IsolatedInstance)?.attempts
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
