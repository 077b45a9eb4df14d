// SPDX-License-Identifier: Apache-2.0
// Our own plugins, as the build puts them beside the test bundle.

import Foundation
public import ReFTHost
import ReFTTensor
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

  /// A catalog that looks nowhere else, but in a further folder where one is given, and runs everything
  /// here that is not meant to be isolated.
  ///
  /// - Throws: an issue, when the build has no plugins beside it.
  public static func catalog(and extra: String? = nil) throws -> PluginCatalog {
    let folder = try #require(folder, "no libLoReFT.so beside the test bundle")
    let settings = IsolationSettings(workerPath: folder + "/reft-plugin-worker")
    var loader = PluginCatalog.trustingLoader(
      store: TrustStore(path: nil, installedFolders: [folder]),
      settings: settings
    )
    if extra != nil {
      loader = { file, isolation throws(ReFTError) in
        guard isolation == .process else { return try InProcessLoader.load(file) }
        return try IsolatedLoader.load(file, settings: settings)
      }
    }
    return PluginCatalog(
      extraPaths: [folder] + (extra.map { [$0] } ?? []),
      environment: [:],
      executableFolder: folder,
      loader: loader
    )
  }
}
