// SPDX-License-Identifier: Apache-2.0
// Loads the library that a manifest names, and finds its functions.

import CReFTPlatform
import Foundation
import Logging
import ReFTTensor
import Synchronization

/// A manifest whose library was loaded; what all its instances share.
final class ManifestLibrary: Sendable {
  let manifest: Manifest
  let description: PluginDescription
  let forward: ForeignFunction
  let backward: ForeignFunction?
  private let told = Mutex<Set<String>>([])
  private let signals = SignalGuard()
  /// The name as C wants it; never freed.
  nonisolated(unsafe) private let foreignName: UnsafeMutablePointer<CChar>?

  private static let anyFunction: StaticString = "one of its functions"

  private struct Handle: @unchecked Sendable {
    // Sendable: a handle of the dynamic linker is valid in every thread.
    let pointer: UnsafeMutableRawPointer
  }
  private static let loaded = Mutex<[String: Handle]>([:])

  /// The plugin that a manifest describes.
  ///
  /// - Parameters:
  ///   - file: the manifest.
  ///   - library: the file that it names.
  /// - Returns: the plugin, whose instances run in this process.
  /// - Throws: `.pluginRefused`, with the reason in a sentence.
  static func plugin(_ file: PluginFile, library: PluginFile) throws(ReFTError) -> Plugin {
    let shared = try ManifestLibrary(file, library: library)
    return Plugin(shared.description, isolation: .none) { site, options, _ throws(ReFTError) in
      try ManifestInstance(shared, at: site, options: options)
    }
  }

  /// Reads the manifest, loads the library and finds the functions.
  ///
  /// - Throws: `.pluginRefused`, with the reason in a sentence.
  init(_ file: PluginFile, library: PluginFile) throws(ReFTError) {
    let manifest = try Manifest(file.bytes, path: file.path)
    try library.look(for: manifest)
    let handle = try Self.handle(of: library, manifest: manifest)
    self.manifest = manifest
    forward = try Self.function(manifest.forward, manifest, handle)
    var backward: ForeignFunction?
    if let description = manifest.backward {
      backward = try Self.function(description, manifest, handle)
    }
    self.backward = backward
    description = Self.describe(manifest, file, library)
    foreignName = strdup(description.name)
  }

  /// What is known without loading anything.
  static func describe(
    _ manifest: Manifest,
    _ file: PluginFile,
    _ library: PluginFile
  ) -> PluginDescription {
    return PluginDescription(
      id: manifest.id,
      version: manifest.version,
      summary: manifest.summary,
      license: manifest.license,
      abi: "manifest 1",
      path: file.path,
      hash: hash(of: file, library: library),
      capabilities: manifest.capabilities,
      options: manifest.options
    )
  }

  /// The hash of a manifest together with its library: a change of either is another plugin.
  static func hash(of file: PluginFile, library: PluginFile) -> String {
    let both = Data(file.bytes) + Data(library.hash.utf8)
    return "sha256:" + both.withUnsafeBytes { SHA256Digest.hex(of: $0) }
  }

  /// Runs code of the library, puts the floating-point control word back, and what signals do where that is
  /// looked at, and says so once for each.
  func guarded<Result>(
    _ symbol: String,
    looksAtSignals: Bool,
    _ body: () -> Result
  ) -> Result {
    let table = signals.begin(looksAtSignals)
    reft_foreign_begin(foreignName, Self.anyFunction.utf8Start)
    let (result, change) = FloatingPointGuard.run(body)
    reft_foreign_end()
    if let change { warn(symbol, change.description) }
    if let table, let change = signals.end(table) { warn(symbol, change) }
    return result
  }

  private func warn(_ symbol: String, _ change: String) {
    guard told.withLock({ $0.insert(change).inserted }) else { return }
    Logger(label: "reft.plugins").warning(
      "plugin '\(description.name)' \(change) in \(symbol); this was put back"
    )
  }

  private static func handle(
    of library: PluginFile,
    manifest: Manifest
  ) throws(ReFTError) -> Handle {
    try loaded.withLock { loaded throws(ReFTError) in
      if let handle = loaded[library.hash] { return handle }
      library.keepOpen()
      let signals = reft_system_signals_save()
      let (needs, _) = FloatingPointGuard.run {
        Result { () throws(ReFTError) in try library.libraries.get().load(for: library.path) }
      }
      let (pointer, _) = FloatingPointGuard.run { () -> UnsafeMutableRawPointer? in
        guard case .success = needs else { return nil }
        return dlopen(library.sealedPath, RTLD_NOW | RTLD_LOCAL | Int32(RTLD_NODELETE))
      }
      let reason = pointer == nil ? dlerror().map { String(cString: $0) } : nil
      _ = reft_system_signals_restore(signals)
      try needs.get()
      guard let pointer else {
        throw .manifestLibraryNotLoaded(
          manifest.path,
          library: library.path,
          reason: (reason ?? "no reason given").replacingOccurrences(
            of: library.sealedPath,
            with: "the file"
          )
        )
      }
      let handle = Handle(pointer: pointer)
      loaded[library.hash] = handle
      return handle
    }
  }

  private static func function(
    _ function: ManifestFunction,
    _ manifest: Manifest,
    _ handle: Handle
  ) throws(ReFTError) -> ForeignFunction {
    guard let address = dlsym(handle.pointer, function.symbol) else {
      throw .manifestSymbolMissing(
        manifest.path,
        symbol: function.symbol,
        library: manifest.libraryPath
      )
    }
    guard let prepared = ForeignFunction(function, at: address) else {
      throw .badManifest(
        manifest.path,
        place: "function '\(function.symbol)'",
        reason: "has a signature that libffi cannot call"
      )
    }
    return prepared
  }
}
