// SPDX-License-Identifier: Apache-2.0
// Our own plugins, as the build puts them beside the test bundle.

import Foundation
public import ReFTHost
import Testing

/// The plugins of this build, found and loaded as a user's program does it.
public enum BuiltPlugins {
  /// The folder of the test bundle, which is the build's.
  public static let folder: String? = {
    let places = [PluginCatalog.executableFolder].compactMap { $0 } + bundleFolders
    return places.first { FileManager.default.fileExists(atPath: $0 + "/libLoReFT.so") }
  }()

  private static var bundleFolders: [String] {
    Bundle.allBundles.flatMap { bundle in
      [bundle.bundlePath, (bundle.bundlePath as NSString).deletingLastPathComponent]
    } + [(CommandLine.arguments[0] as NSString).deletingLastPathComponent]
  }

  /// A catalog that looks nowhere else.
  ///
  /// - Throws: an issue, when the build has no plugins beside it.
  public static func catalog() throws -> PluginCatalog {
    let folder = try #require(folder, "no libLoReFT.so beside the test bundle")
    return PluginCatalog(
      extraPaths: [folder],
      environment: [:],
      executableFolder: folder,
      loader: PluginCatalog.trustingLoader(
        store: TrustStore(path: nil, installedFolders: [folder]),
        settings: IsolationSettings(workerPath: folder + "/reft-plugin-worker")
      )
    )
  }
}
