// SPDX-License-Identifier: Apache-2.0
// Trouble outside of forward and backward: every function of a plugin can end its process, and the
// process can lie.

import Foundation
import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Quarantine", .serialized)
struct QuarantineTests {
  private static let site = PluginSite(dim: 24, layer: 3, component: "block_output")

  private func settings(_ folder: String, timeout: Double = 30) throws -> IsolationSettings {
    IsolationSettings(
      timeoutSeconds: timeout,
      workerPath: try #require(BuiltPlugins.folder) + "/reft-plugin-worker",
      capsuleFolder: folder + "/capsules"
    )
  }

  /// Loads a plugin and uses all of its functions.
  private func use(_ path: String, _ settings: IsolationSettings, _ store: TrustStore) throws {
    let plugins = try IsolatedLoader.load(
      try PluginFile(path: path),
      settings: settings,
      store: store
    )
    let plugin = try #require(plugins.first)
    let instance = try plugin.makeInstance(at: Self.site, options: [:])
    _ = try instance.plan(maxRows: 4)
  }

  private static let crash = " *(volatile int *)8 = 1; "

  @Test(
    "a crash in any function quarantines the plugin, with a capsule that replays it",
    arguments: [
      ("create", Capsule.Call.create, "in create its process was killed by signal 11"),
      ("param_info", .create, "in create its process was killed by signal 11"),
      ("plan", .plan, "in plan its process was killed by signal 11"),
      (
        "reft_plugin_entry_v1", .load,
        "while it was loaded its process was killed by signal 11"
      ),
    ]
  )
  func everyFunction(function: String, call: Capsule.Call, says: String) throws {
    try withTemporaryDirectory { folder in
      let path = try TroublePlugin.compile(Self.crash, atStartOf: function, in: folder)
      let store = TrustStore(path: folder + "/trust.json")
      let settings = try settings(folder)
      let error = #expect(throws: ReFTError.self) { try use(path, settings, store) }
      #expect(error?.message.contains("quarantined") == true, "\(error?.message ?? "")")
      let hash = try PluginFile(path: path).hash
      guard case .quarantined(let file, let reason) = try store.trust(hash: hash, path: path) else {
        Issue.record("the quarantine is not recorded")
        return
      }
      #expect(reason.contains(says), "\(reason)")
      let capsule = try Capsule(path: file)
      #expect(capsule.call == call && capsule.hash == hash)
      let again = #expect(throws: ReFTError.self) { try capsule.replay(settings: settings) }
      #expect(again?.message.contains(says) == true, "\(again?.message ?? "")")
      #expect(again?.message.contains("as when it was quarantined") == true)
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder + "/capsules").count == 1,
        "replaying keeps no further capsule"
      )
      let mended = try TroublePlugin.compile(" ", atStartOf: function, in: folder)
      try capsule.replay(pluginPath: mended, settings: settings)
    }
  }

  @Test(
    "trouble in destroy costs one worker, once, and neither the plugin nor the time of a second try",
    arguments: [crash, " for (;;) pause(); "]
  )
  func destroy(code: String) throws {
    try withTemporaryDirectory { folder in
      let path = try TroublePlugin.compile(code, atStartOf: "destroy", in: folder)
      let store = TrustStore(path: folder + "/trust.json")
      let plugins = try IsolatedLoader.load(
        try PluginFile(path: path),
        settings: try settings(folder, timeout: 0.5),
        store: store
      )
      let plugin = try #require(plugins.first)
      let kept = try plugin.makeInstance(at: Self.site, options: [:])
      for _ in 0..<3 { _ = try plugin.makeInstance(at: Self.site, options: [:]) }
      // The instance that is left is made again and works.
      let harness = InstanceHarness(kept, dim: 24)
      _ = try harness.forward([Float](repeating: 1, count: 48))
      #expect(try store.trust(hash: plugin.hash, path: path) == .unknown)
    }
  }

  @Test(
    "a process that forges its answers is refused and traps nobody",
    arguments: [
      (
        "create",
        #"[{"name":"w","shape":[4611686018427387904,8],"isTrainable":true,"allowsDecay":true,"start":0,"#
          + #""constraint":0,"startA":0,"startB":0,"constraintA":0,"constraintB":0,"rate":1,"decay":1}]"#,
        "parameter 'w' has a dimension of 4611686018427387904"
      ),
      (
        "create",
        #"[{"name":"w","shape":[8],"isTrainable":true,"allowsDecay":true,"start":5,"#
          + #""constraint":1,"startA":1e300,"startB":0,"constraintA":0,"constraintB":0,"rate":1,"decay":1}]"#,
        "parameter 'w' is to copy parameter -1"
      ),
      ("create", "nonsense", "parameters that cannot be read"),
      (
        "plan",
        #"{"savedPerRow":9223372036854775807,"savedFixed":9,"scratchPerRow":0,"scratchFixed":0}"#,
        "plan states saved_bytes_per_row 9223372036854775807 for 64 rows"
      ),
      (
        "plan", #"{"savedPerRow":-8,"savedFixed":9,"scratchPerRow":0,"scratchFixed":0}"#,
        "plan states saved_bytes_per_row -8"
      ),
      (
        "plan",
        #"{"savedPerRow":0,"savedFixed":0,"scratchPerRow":0,"scratchFixed":-9223372036854775808}"#,
        "plan states scratch_bytes_fixed -9223372036854775808"
      ),
      (
        "plan",
        #"{"savedPerRow":0,"savedFixed":1200000000,"scratchPerRow":0,"scratchFixed":1200000000}"#,
        "a call over 64 rows would need more than the 2048 MiB"
      ),
      (
        "plan", #"{"savedPerRow":1e400,"savedFixed":0,"scratchPerRow":0,"scratchFixed":0}"#,
        "a workspace that cannot be read"
      ),
      (
        "plan", String(repeating: "[", count: 60_000), "a workspace that cannot be read"
      ),
      (
        "create",
        #"[{"name":"w","shape":[65536,65536],"isTrainable":true,"allowsDecay":true,"start":0,"#
          + #""constraint":0,"startA":0,"startB":0,"constraintA":0,"constraintB":0,"rate":1,"decay":1}]"#,
        "its parameters would need more than the 2048 MiB"
      ),
      (
        "create",
        #"[{"name":"w","shape":[-4,-4],"isTrainable":true,"allowsDecay":true,"start":0,"#
          + #""constraint":0,"startA":0,"startB":0,"constraintA":0,"constraintB":0,"rate":1,"decay":1}]"#,
        "parameter 'w' has a dimension of -4"
      ),
      ("reft_plugin_entry_v1", #"{"plugins":[]}"#, "the file holds 0 plugins"),
      (
        "reft_plugin_entry_v1",
        #"{"plugins":[{"id":"a\u001b[2Jb","version":"1","summary":"","license":"","abi":"1.0","#
          + #""capabilities":0,"options":[],"warnings":[]}]}"#,
        "a plugin's id is 'a [2Jb'"
      ),
    ]
  )
  func forgery(function: String, answer: String, says: String) throws {
    try withTemporaryDirectory { folder in
      let path = try TroublePlugin.compile(
        TroublePlugin.forgery(answer),
        atStartOf: function,
        in: folder
      )
      let error = #expect(throws: ReFTError.self) {
        try use(path, try settings(folder, timeout: 2), TrustStore(path: nil))
      }
      #expect(error?.message.contains(says) == true, "\(error?.message ?? "")")
      #expect(error?.code == .misbehaved)
    }
  }

  @Test(
    "a setting of the environment that cannot be is an error and no default",
    arguments: [
      ("REFT_ISOLATION_TIMEOUT", "soon"), ("REFT_ISOLATION_TIMEOUT", "-1"),
      ("REFT_ISOLATION_MEMORY", "0"), ("REFT_ISOLATION_MEMORY", "2G"),
      ("REFT_PLUGIN_WORKER", "bin/worker"),
    ]
  )
  func environment(name: String, value: String) throws {
    let folder = try #require(BuiltPlugins.folder)
    let error = #expect(throws: ReFTError.self) {
      _ = try IsolatedLoader.load(
        try PluginFile(path: folder + "/libLoReFT.so"),
        settings: IsolationSettings(environment: [name: value])
      )
    }
    #expect(error?.code == .badConfiguration)
    #expect(
      error?.message.hasPrefix("the environment variable \(name) is '\(value)', expected ") == true
    )
  }
}
