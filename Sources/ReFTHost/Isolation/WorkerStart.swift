// SPDX-License-Identifier: Apache-2.0
// The host's first message to a worker: which files it was given, and which libraries it may open.

import CReFTPlatform
import ReFTTensor

/// What a worker needs to know before it gives up its rights.
struct WorkerStart: Codable {
  /// A library that the plugin needs.
  struct Library: Codable {
    var name, path: String
    /// Where its sealed copy is; nil: it is opened by its path.
    var descriptor: Int32?
  }

  /// The plugin's file, whose sealed copy is the first one.
  var path: String
  /// The library of a manifest, whose sealed copy is the second one.
  var libraryPath: String?
  var libraries: [Library]
  /// Whether the worker goes on where this machine cannot confine it.
  var allowsLess: Bool

  init(_ bytes: PluginBytes, allowsLess: Bool) throws(ReFTError) {
    path = bytes.file.path
    libraryPath = bytes.library?.path
    self.allowsLess = allowsLess
    var next = REFT_WORKER_FILES_FD + (bytes.library == nil ? 1 : 2)
    libraries = try bytes.needs.libraries.map { library in
      var result = Library(name: library.name, path: library.path)
      if library.file != nil {
        result.descriptor = next
        next += 1
      }
      return result
    }
  }

  /// The sealed copies, in the order of their descriptors.
  static func files(_ bytes: PluginBytes) throws(ReFTError) -> [PluginFile] {
    [bytes.file] + [bytes.library].compactMap(\.self) + (try bytes.needs.own)
  }

  /// The paths of what the worker may open.
  var openPaths: [String] { libraries.filter { $0.descriptor == nil }.map(\.path) }

  /// The plugin, put together again from the copies.
  func bytes() throws(ReFTError) -> PluginBytes {
    var needs: [LibraryClosure.Library] = []
    for library in libraries {
      var file: PluginFile?
      if let descriptor = library.descriptor {
        file = try PluginFile(
          sealed: descriptor,
          path: library.path,
          libraries: LibraryClosure.none
        )
      }
      needs.append(.init(name: library.name, path: library.path, file: file))
    }
    let closure = LibraryClosure(libraries: needs)
    guard let libraryPath else {
      return PluginBytes(
        file: try PluginFile(sealed: REFT_WORKER_FILES_FD, path: path, libraries: closure),
        library: nil
      )
    }
    return PluginBytes(
      file: try PluginFile(
        sealed: REFT_WORKER_FILES_FD,
        path: path,
        libraries: LibraryClosure.none
      ),
      library: try PluginFile(
        sealed: REFT_WORKER_FILES_FD + 1,
        path: libraryPath,
        libraries: closure
      )
    )
  }
}

extension PluginBytes {
  /// What is loaded with the plugin.
  ///
  /// - Throws: `.pluginRefused` when something of it is not there or not to be trusted.
  var needs: LibraryClosure {
    get throws(ReFTError) { try (library ?? file).libraries.get() }
  }
}
