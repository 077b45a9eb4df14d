// SPDX-License-Identifier: Apache-2.0
// Builds the hostile plugins of Tests/Fixtures/attackers and runs them as a stranger's.

import Foundation
import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

/// One hostile plugin, with a canary that it is after.
struct Attacker {
  static let canaryText = "canary-8b1f-do-not-tell"
  static let site = PluginSite(dim: 24, layer: 3, component: "block_output")
  let folder: String
  let path: String

  /// Compiles `name.c`.
  init(
    _ name: String,
    macros: [String: String] = [:],
    flags: [String] = [],
    in folder: String
  ) throws {
    self.folder = folder
    path = "\(folder)/\(name).so"
    try Data(Self.canaryText.utf8).write(to: URL(filePath: folder + "/canary"))
    var all = ["CANARY": "\"\(folder)/canary\""]
    all.merge(macros) { $1 }
    var arguments = [
      "cc", "-std=gnu11", "-D_GNU_SOURCE", "-fPIC", "-shared", "-fvisibility=hidden",
    ]
    arguments += ["-I", CompiledLibrary.include]
    arguments += all.sorted { $0.key < $1.key }.map { "-D\($0.key)=\($0.value)" }
    arguments += [Fixture.path("attackers/\(name).c"), "-o", path] + flags
    try CompiledLibrary.run(arguments)
  }

  /// Settings that keep capsules and everything else in the attacker's folder.
  func settings(timeout: Double = 30, memory: Int = 256 << 20) throws -> IsolationSettings {
    IsolationSettings(
      timeoutSeconds: timeout,
      memoryLimit: memory,
      workerPath: try #require(BuiltPlugins.folder) + "/reft-plugin-worker",
      capsuleFolder: folder + "/capsules"
    )
  }

  /// Loads it into a worker and makes an instance.
  func instance(timeout: Double = 30, memory: Int = 256 << 20) throws -> any PluginInstance {
    let plugins = try IsolatedLoader.load(
      try PluginFile(path: path),
      settings: try settings(timeout: timeout, memory: memory)
    )
    return try #require(plugins.first).makeInstance(at: Self.site, options: [:])
  }

  /// Calls forward over two rows.
  ///
  /// - Returns: the first number: above 0 when something got through.
  static func call(_ instance: any PluginInstance) throws -> Float {
    let harness = InstanceHarness(instance, dim: 24)
    return try harness.forward([Float](repeating: 0.5, count: 48)).y[0]
  }

  /// Whether the canary and its folder are as they were.
  func isUntouched(allowing more: Set<String> = []) throws -> Bool {
    let canary = try String(contentsOfFile: folder + "/canary", encoding: .utf8)
    let left = try FileManager.default.contentsOfDirectory(atPath: folder)
      .filter { !$0.hasSuffix(".so") && $0 != "canary" && !more.contains($0) }
    return canary == Self.canaryText && left.isEmpty
  }
}
