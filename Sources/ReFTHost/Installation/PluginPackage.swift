// SPDX-License-Identifier: Apache-2.0
// A plugin's file on its way into the user's folder of plugins.

import Foundation
public import ReFTTensor

/// The sealed bytes of a plugin, with the library of a manifest.
public struct PluginPackage: Sendable {
  let bytes: PluginBytes

  /// Opens a plugin's file and looks at it, without running anything.
  ///
  /// - Parameter path: absolute; a shared library or a manifest.
  /// - Throws: `.usage` for a name under which no plugin is found; else as opening the file for loading.
  public init(path: String) throws(ReFTError) {
    let name = (path as NSString).lastPathComponent
    guard PluginCatalog.isPluginFileName(name), !name.hasPrefix(".") else {
      throw .installedNameWrong(name)
    }
    bytes = try PluginBytes(try PluginFile(path: path))
    try bytes.look()
  }

  /// The absolute path that it was opened by.
  public var path: String { bytes.file.path }
  /// The hash by which trust in it is recorded.
  public var hash: String { bytes.hash }

  /// The files that are installed: the library of a manifest comes first, so that there is never a
  /// manifest without it.
  ///
  /// - Throws: `.pluginRefused` for a manifest whose library lies in another folder by a relative path.
  func files() throws(ReFTError) -> [(name: String, file: PluginFile)] {
    let own = [((path as NSString).lastPathComponent, bytes.file)]
    guard let library = bytes.library else { return own }
    let written = try Manifest(bytes.file.bytes, path: path).library
    // By an absolute path, the library stays where it is.
    if written.hasPrefix("/") { return own }
    guard !written.contains("/") else {
      throw .installedLibraryElsewhere(path, library: written)
    }
    return [(written, library)] + own
  }
}
