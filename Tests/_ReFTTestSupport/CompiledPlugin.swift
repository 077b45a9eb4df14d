// SPDX-License-Identifier: Apache-2.0
// Small plugins that a test compiles itself, as an author would: one line of cc.

import Foundation
public import ReFTHost
import ReFTTensor
import Testing

/// Compiles `Tests/Fixtures/loader/plugin.c` with macros that put one fault into it.
public enum CompiledPlugin {
  /// Compiles into a folder and returns the library's path.
  ///
  /// - Throws: an issue when the compiler refuses.
  public static func make(
    _ macros: [String: String] = [:],
    in folder: String,
    name: String = "plain.so",
    flags: [String] = []
  ) throws -> String {
    try compile("loader/plugin.c", macros, to: folder + "/" + name, flags: flags)
  }

  /// Compiles a fixture, such as `plugins/aux.c`, and returns the library's path.
  ///
  /// - Throws: an issue when the compiler refuses.
  public static func compile(
    _ source: String,
    _ macros: [String: String] = [:],
    to output: String,
    flags: [String] = []
  ) throws -> String {
    let root = URL(fileURLWithPath: Fixture.folder).deletingLastPathComponent()
      .deletingLastPathComponent().path
    var arguments = ["cc", "-shared", "-fPIC", "-fvisibility=hidden", "-w", "-O1"]
    arguments += ["-I", root + "/Sources/CReFTPlugin/include"]
    arguments += macros.sorted { $0.key < $1.key }.map { "-D\($0.key)=\($0.value)" }
    arguments += [Fixture.path(source), "-o", output] + flags + ["-lm"]
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "cc failed: \(arguments)")
    return output
  }

  /// Loads a file into this process.
  ///
  /// - Throws: what the loader throws.
  public static func load(_ path: String) throws -> Plugin {
    let plugins = try InProcessLoader.load(PluginFile(path: path))
    return try #require(plugins.first)
  }

  /// Compiles and loads.
  ///
  /// - Throws: as `make` and `load`.
  public static func loaded(_ macros: [String: String] = [:], in folder: String) throws -> Plugin {
    try load(try make(macros, in: folder))
  }

  /// A catalog of one folder whose plugins run in this process.
  public static func catalog(of folder: String) -> PluginCatalog {
    PluginCatalog(
      extraPaths: [folder],
      environment: [:],
      executableFolder: "/nonexistent",
      loader: { file, _ throws(ReFTError) in try InProcessLoader.load(file) }
    )
  }
}
