// SPDX-License-Identifier: Apache-2.0
// Decides where a plugin runs: in this process when its bytes are trusted, else in a worker.

import Logging
package import ReFTTensor
import Synchronization

/// The bytes that make a plugin: its file, and for a manifest the library that it names.
struct PluginBytes: Sendable {
  let file: PluginFile
  let library: PluginFile?

  /// Opens the library of a manifest.
  init(_ file: PluginFile) throws(ReFTError) {
    self.file = file
    guard file.path.hasSuffix(".reft.json") else {
      library = nil
      return
    }
    let manifest = try Manifest(file.bytes, path: file.path)
    do throws(ReFTError) {
      library = try PluginFile(path: manifest.libraryPath)
    } catch {
      throw .manifestLibraryNotLoaded(
        file.path,
        library: manifest.libraryPath,
        reason: error.message
      )
    }
  }

  init(file: PluginFile, library: PluginFile?) {
    self.file = file
    self.library = library
  }

  /// The hash by which trust is recorded; what `Plugin.hash` says.
  var hash: String {
    library.map { ManifestLibrary.hash(of: file, library: $0) } ?? file.hash
  }

  /// Refuses what can be refused without running anything.
  func look() throws(ReFTError) {
    if let library {
      try library.look(for: try Manifest(file.bytes, path: file.path))
    } else {
      try file.look()
    }
  }

  /// Loads the plugin into this process, trusted or not.
  func loadHere() throws(ReFTError) -> [Plugin] {
    if let library { return [try ManifestLibrary.plugin(file, library: library)] }
    return try InProcessLoader.load(file)
  }
}

extension PluginCatalog {
  /// A loader that follows the record of trust.
  ///
  /// Trusted plugins run in this process. Unknown ones run in a confined worker process, with one
  /// line that says so; quarantined ones are refused.
  ///
  /// - Parameters:
  ///   - store: the record.
  ///   - settings: how workers are run.
  ///   - alsoTrusted: what the user trusts for this run alone, by path or hash.
  /// - Returns: a loader for `PluginCatalog.init`.
  public static func trustingLoader(
    store: TrustStore,
    settings: IsolationSettings,
    alsoTrusted: Set<String> = []
  ) -> Loader {
    { file, isolation throws(ReFTError) in
      let bytes = try PluginBytes(file)
      try bytes.look()
      let hash = bytes.hash
      var trust = try store.trust(hash: hash, path: file.path)
      if alsoTrusted.contains(file.path) || alsoTrusted.contains(hash) { trust = .trusted }
      if case .quarantined(let capsule, let reason) = trust {
        throw .pluginQuarantined(file.path, reason: reason, capsule: capsule)
      }
      switch isolation {
      case .none? where !trust.allowsInProcess:
        throw .pluginNotTrusted(file.path, hash: hash)
      case .process?:
        return try IsolatedLoader.load(bytes, settings: settings, store: store)
      case nil where !trust.allowsInProcess:
        Logger(label: "reft.plugins").notice(
          """
          plugin '\(file.path)' has passed no check here, so it runs in a process of its own; \
          `reft plugin check \(file.path)` lets it into this one
          """
        )
        return try IsolatedLoader.load(bytes, settings: settings, store: store)
      default:
        return try bytes.loadHere()
      }
    }
  }
}

/// Loads a plugin's file into this process whatever is known of it: for the checker's child
/// processes and the worker, which are there to take the risk.
package enum UntrustedLoader {
  /// The hash by which trust in a file is recorded; nothing of it is run.
  package static func hash(_ file: PluginFile) throws(ReFTError) -> String {
    try PluginBytes(file).hash
  }

  /// Loads a plugin or a manifest with its library.
  package static func load(_ file: PluginFile) throws(ReFTError) -> [Plugin] {
    try PluginBytes(file).loadHere()
  }
}
