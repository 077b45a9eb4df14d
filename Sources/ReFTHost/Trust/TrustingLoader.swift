// SPDX-License-Identifier: Apache-2.0
// Decides where a plugin runs: in this process when the user trusts its bytes, else in a worker.

package import ReFTTensor

/// The bytes that make a plugin: its file, and for a manifest the library that it names.
package struct PluginBytes: Sendable {
  /// The shared library or the manifest.
  package let file: PluginFile
  /// The library that a manifest names.
  package let library: PluginFile?

  /// Opens the library of a manifest.
  package init(_ file: PluginFile) throws(ReFTError) {
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

  /// Joins what is open already.
  package init(file: PluginFile, library: PluginFile?) {
    self.file = file
    self.library = library
  }

  /// The hash by which trust is recorded; what `Plugin.hash` says.
  package var hash: String {
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

  /// Loads the plugin into this process whatever is known of it: for processes that are there to take
  /// the risk, and for the loader that looked at the record of trust.
  package func loadHere() throws(ReFTError) -> [Plugin] {
    if let library { return [try ManifestLibrary.plugin(file, library: library)] }
    return try InProcessLoader.load(file)
  }
}

extension PluginCatalog {
  /// A loader that follows the record of trust.
  ///
  /// Trusted plugins run in this process. Unknown ones run in a confined worker process, and say that
  /// this is why; quarantined ones are refused.
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
        let plugins = try IsolatedLoader.load(bytes, settings: settings, store: store)
        return plugins.map(\.untrusted)
      default:
        return try bytes.loadHere()
      }
    }
  }
}
