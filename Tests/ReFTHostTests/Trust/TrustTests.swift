// SPDX-License-Identifier: Apache-2.0
// Who may run in this process, and what is remembered about it.

import Foundation
import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Trust", .serialized)
struct TrustTests {
  private func catalog(
    _ folder: String,
    _ store: TrustStore,
    alsoTrusted: Set<String> = []
  ) throws -> PluginCatalog {
    let build = try #require(BuiltPlugins.folder)
    return PluginCatalog(
      extraPaths: [folder],
      environment: [:],
      executableFolder: folder,
      loader: PluginCatalog.trustingLoader(
        store: store,
        settings: IsolationSettings(
          workerPath: build + "/reft-plugin-worker",
          capsuleFolder: folder + "/capsules"
        ),
        alsoTrusted: alsoTrusted
      )
    )
  }

  @Test("an unknown or checked plugin is isolated, a trusted one runs in process")
  func levels() throws {
    try withTemporaryDirectory { folder in
      let path = try TroublePlugin.compile(in: folder)
      let store = TrustStore(path: folder + "/record/trust.json")
      let plugin = try catalog(folder, store).find("trouble")
      #expect(plugin.isolation == .process && plugin.isUntrusted)
      let hash = plugin.hash
      #expect(try catalog(folder, store, alsoTrusted: [path]).find("trouble").isolation == .none)
      #expect(try catalog(folder, store, alsoTrusted: [hash]).find("trouble").isolation == .none)

      let seen = ["ABI-105: It tried 'socket'."]
      try store.noteCheck(hash: hash, name: "trouble", path: path, level: 5, warnings: seen)
      #expect(try store.trust(hash: hash, path: path) == .unknown)
      #expect(try catalog(folder, store).find("trouble").isolation == .process)
      #expect(try store.lastCheck(hash: hash) == .passed(level: 5, warnings: seen))
      #expect(try store.lastCheck(hash: hash).description == "passed level 5, 1 warning")
      let broken = ["ABI-302", "ABI-303"]
      try store.noteFailedCheck(hash: hash, name: "trouble", path: path, rules: broken)
      #expect(try store.trust(hash: hash, path: path) == .unknown)
      #expect(try store.lastCheck(hash: hash) == .failed(rules: broken))
      #expect(try store.lastCheck(hash: hash).description == "failed ABI-302 and 1 more")
      #expect(try store.lastCheck(hash: "sha256:00") == .none)

      try store.setTrusted(true, hash: hash, name: "trouble", path: path)
      #expect(try catalog(folder, store).find("trouble").isolation == .none)
      let asked = try catalog(folder, store).find("trouble", isolation: .process)
      #expect(asked.isolation == .process && !asked.isUntrusted)
      try store.setTrusted(false, hash: hash, name: "trouble", path: path)
      #expect(try catalog(folder, store).find("trouble").isolation == .process)
    }
  }

  @Test("asking for 'isolation: none' does not replace trust")
  func noneIsNotTrust() throws {
    try withTemporaryDirectory { folder in
      _ = try TroublePlugin.compile(in: folder)
      let store = TrustStore(path: folder + "/trust.json")
      let error = #expect(throws: ReFTError.self) {
        _ = try catalog(folder, store).find("trouble", isolation: Isolation.none)
      }
      #expect(error?.message.contains("may not run in this process") == true)
    }
  }

  @Test("a record of the time when checking was trusting is read, and lets nothing in")
  func earlierRecord() throws {
    try withTemporaryDirectory { folder in
      let path = try TroublePlugin.compile(in: folder)
      let hash = try PluginFile(path: path).hash
      try Data(
        """
        {"reft_trust": 1, "plugins": {"\(hash)": {"name": "trouble", "path": "\(path)",
         "trusted": false, "checked_level": 3, "checked_at": "2026-01-01T00:00:00Z"}}}
        """.utf8
      ).write(to: URL(filePath: folder + "/trust.json"))
      let store = TrustStore(path: folder + "/trust.json")
      #expect(try store.lastCheck(hash: hash) == .passed(level: 3, warnings: []))
      #expect(try store.trust(hash: hash, path: path) == .unknown)
      #expect(try catalog(folder, store).find("trouble").isolation == .process)
    }
  }

  @Test("another build of a trusted plugin is unknown")
  func anotherBuild() throws {
    try withTemporaryDirectory { folder in
      let path = try TroublePlugin.compile(in: folder)
      let store = TrustStore(path: folder + "/trust.json")
      let hash = try PluginFile(path: path).hash
      try store.setTrusted(true, hash: hash, name: "trouble", path: path)
      #expect(try catalog(folder, store).find("trouble").isolation == .none)
      let handle = try #require(FileHandle(forWritingAtPath: path))
      try handle.seekToEnd()
      try handle.write(contentsOf: Data([0]))
      try handle.close()
      #expect(try catalog(folder, store).find("trouble").isolation == .process)
    }
  }

  @Test("a quarantined plugin is refused until it is trusted or passes a check")
  func quarantine() throws {
    try withTemporaryDirectory { folder in
      let path = try TroublePlugin.compile(in: folder)
      let store = TrustStore(path: folder + "/trust.json")
      let plugin = try catalog(folder, store).find("trouble")
      let harness = InstanceHarness(
        try plugin.makeInstance(
          at: PluginSite(dim: 8, layer: 1, component: "block_output"),
          options: [:]
        ),
        dim: 8
      )
      #expect(throws: ReFTError.self) {
        _ = try harness.forward([TroublePlugin.crash] + [Float](repeating: 0, count: 7))
      }
      let error = #expect(throws: ReFTError.self) {
        _ = try catalog(folder, store).find("trouble")
      }
      #expect(error?.message.contains("is quarantined: in forward of layer 1 over 1 rows") == true)
      #expect(error?.message.contains("--replay \(folder)/capsules/trouble-") == true)
      try store.noteCheck(hash: plugin.hash, name: "trouble", path: path, level: 3)
      #expect(try catalog(folder, store).find("trouble").isolation == .process)
    }
  }

  @Test("a record in a folder that everybody may write to is not believed")
  func openFolder() throws {
    try withTemporaryDirectory { folder in
      let home = folder + "/home"
      let store = TrustStore(path: home + "/trust.json")
      try store.setTrusted(true, hash: "sha256:00", name: "a", path: "/a.so")
      chmod(home, 0o777)
      let error = #expect(throws: ReFTError.self) {
        try store.trust(hash: "sha256:00", path: "/a.so")
      }
      #expect(
        error?.message
          == "the folder '\(home)' holds your record of trust and can be written by everybody, so the "
          + "record cannot be believed; run `chmod o-w` on it, or set REFT_HOME to a folder of your own"
      )
      chmod(home, 0o700)
    }
  }

  @Test("a record that others can write, or that is damaged, is not believed")
  func damaged() throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/trust.json"
      let store = TrustStore(path: path)
      try store.setTrusted(true, hash: "sha256:00", name: "a", path: "/a.so")
      #expect(try store.trust(hash: "sha256:00", path: "/a.so") == .trusted)
      chmod(path, 0o666)
      let writable = #expect(throws: ReFTError.self) {
        try store.trust(hash: "sha256:00", path: "/a.so")
      }
      #expect(writable?.message.contains("can be written by others") == true)
      chmod(path, 0o600)
      try Data("{\"reft_trust\": 9, \"plugins\": {}}".utf8).write(to: URL(filePath: path))
      chmod(path, 0o600)
      let newer = #expect(throws: ReFTError.self) {
        try store.trust(hash: "sha256:00", path: "/a.so")
      }
      #expect(newer?.message.contains("it has version 9, expected 1") == true)
      for (text, says) in [
        (
          #"{"reft_trust": 1, "plugins": {}, "plugins": {}}"#,
          ":1:34: not JSON: key \"plugins\" stands"
        ),
        (
          #"{"reft_trust": "1", "plugins": {}}"#,
          ":1:16: 'reft_trust' must be a whole number in range"
        ),
      ] {
        try Data(text.utf8).write(to: URL(filePath: path))
        chmod(path, 0o600)
        let broken = #expect(throws: ReFTError.self) {
          try store.trust(hash: "sha256:00", path: "/a.so")
        }
        #expect(broken?.message.hasPrefix(path + says) == true, "\(broken?.message ?? "")")
      }
    }
  }

  @Test("our own plugins beside the program are trusted as part of the installation")
  func installed() throws {
    let folder = try #require(BuiltPlugins.folder)
    let store = TrustStore(path: nil, installedFolders: [folder])
    #expect(try store.trust(hash: "sha256:00", path: folder + "/libLoReFT.so") == .installed)
    #expect(try store.trust(hash: "sha256:00", path: "/elsewhere/libLoReFT.so") == .unknown)
    #expect(try store.trust(hash: "sha256:00", path: folder + "/stranger.so") == .unknown)
  }

  @Test("the plugins that come with the program are those that its package builds")
  func ownLibraries() throws {
    let package = URL(fileURLWithPath: Fixture.folder).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Package.swift")
    let text = try String(contentsOf: package, encoding: .utf8)
    let products = text.matches(of: /\.library\(name: "(\w+)", type: \.dynamic/)
    // The emulated card is for tests alone.
    let names = products.filter { $0.1 != "CUDAEmulator" }.map { "lib\($0.1).so" }
    #expect(Set(names) == TrustStore.ownLibraries)
  }
}
