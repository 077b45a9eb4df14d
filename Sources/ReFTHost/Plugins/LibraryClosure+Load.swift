// SPDX-License-Identifier: Apache-2.0
// Loading what a plugin needs, one after the other and by path, so that the dynamic linker has nothing
// left to look for.

import Foundation
import ReFTTensor
import Synchronization

extension LibraryClosure {
  /// The hashes of the libraries of plugins that are loaded, by name: a name is taken once.
  private static let loaded = Mutex<[String: String]>([:])

  /// Loads the libraries that are not loaded yet, each after those that it needs.
  ///
  /// - Parameter plugin: who needs them, for messages.
  /// - Throws: `.pluginRefused` when one cannot be loaded, or another one of its name is.
  func load(for plugin: String) throws(ReFTError) {
    for library in libraries where ProgramLibraries.path(of: library.name) == nil {
      if let file = library.file {
        let taken = Self.loaded.withLock { $0[library.name] }
        if taken == file.hash { continue }
        guard taken == nil else {
          throw .pluginDependency(
            plugin,
            library.name,
            reason: "is another one than a plugin of this name has loaded already; run one of the "
              + "plugins in a process of its own"
          )
        }
        file.keepOpen()
      }
      let path = library.file?.sealedPath ?? library.path
      guard dlopen(path, RTLD_NOW | RTLD_LOCAL | Int32(RTLD_NODELETE)) != nil else {
        let reason = dlerror().map { String(cString: $0) } ?? "no reason given"
        throw .pluginDependency(
          plugin,
          library.name,
          reason: "cannot be loaded: \(ForeignText.line(reason))"
        )
      }
      if let file = library.file {
        Self.loaded.withLock { $0[library.name] = file.hash }
      }
    }
  }
}
