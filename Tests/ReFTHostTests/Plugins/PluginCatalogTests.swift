// SPDX-License-Identifier: Apache-2.0
// Where plugins are found, and where they are not.

import Foundation
import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("The plugin catalog", .serialized)
struct PluginCatalogTests {
  private func catalog(
    _ paths: [String],
    environment: [String: String] = [:],
    executable: String = "/nonexistent"
  ) -> PluginCatalog {
    PluginCatalog(
      extraPaths: paths,
      environment: environment,
      executableFolder: executable,
      loader: { file, _ throws(ReFTError) in try InProcessLoader.load(file) }
    )
  }

  private func makeFolder(_ path: String, id: String, name: String = "plain.so") throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    _ = try CompiledPlugin.make(["ID": "\"\(id)\""], in: path, name: name)
  }

  @Test("searches the folders of the contract in their order")
  func order() throws {
    try withTemporaryDirectory { root in
      for name in [
        "option", "variable", "home/.local/share/reft/plugins", "bin", "lib/reft/plugins",
      ] {
        try makeFolder(root + "/" + name, id: "org.test.plain")
      }
      let environment = ["REFT_PLUGIN_PATH": root + "/variable", "HOME": root + "/home"]
      let all = catalog(
        [root + "/option"],
        environment: environment,
        executable: root + "/bin"
      )
      #expect(
        all.folders.map(\.path).filter { $0.hasPrefix("/usr") == false }
          == [
            root + "/option", root + "/variable", root + "/home/.local/share/reft/plugins",
            root + "/bin", root + "/lib/reft/plugins",
          ].map(Self.real)
      )
      #expect(try all.find("plain").path == Self.real(root + "/option") + "/plain.so")
      let later = catalog([], environment: environment, executable: root + "/bin")
      #expect(try later.find("org.test.plain").path.contains("/variable/"))
    }
  }

  private static func real(_ path: String) -> String {
    URL(fileURLWithPath: path).resolvingSymlinksInPath().path
  }

  @Test("finds a plugin whose file has another name, and one of several in a library")
  func otherNames() throws {
    try withTemporaryDirectory { root in
      try makeFolder(root + "/a", id: "org.test.hidden", name: "libother.so")
      #expect(try catalog([root + "/a"]).find("hidden").id == "org.test.hidden")
      let ours = try BuiltPlugins.catalog()
      #expect(try ours.find("consreft").path == ours.find("noreft").path)
      #expect(try ours.find("additive-steering").path.hasSuffix("libAdditiveSteering.so"))
    }
  }

  @Test("one lookup: what is listed as found is what is found, by name and by id")
  func oneLookup() throws {
    try withTemporaryDirectory { root in
      try makeFolder(root + "/a", id: "org.example.red", name: "zzz.so")
      try makeFolder(root + "/b", id: "org.example.red", name: "red.so")
      try makeFolder(root + "/b", id: "com.acme.red", name: "acme.so")
      try makeFolder(root + "/b", id: "org.example.blue", name: "aaa.so")
      try makeFolder(root + "/b", id: "org.example.blue", name: "libBlue.so")
      let all = catalog([root + "/a", root + "/b"])
      var reaches: [String: String] = [:]
      for case .plugin(let plugin, let reach) in all.list() where plugin.path.hasPrefix(root) {
        reaches[(plugin.path as NSString).lastPathComponent] = "\(plugin.id) \(reach)"
      }
      #expect(
        reaches == [
          "zzz.so": "org.example.red name", "red.so": "org.example.red nothing",
          "acme.so": "com.acme.red id", "aaa.so": "org.example.blue nothing",
          "libBlue.so": "org.example.blue name",
        ]
      )
      for word in ["red", "org.example.red"] {
        #expect(try all.find(word).path == Self.real(root + "/a") + "/zzz.so")
      }
      #expect(try all.find("com.acme.red").path == Self.real(root + "/b") + "/acme.so")
      #expect(try all.find("blue").path == Self.real(root + "/b") + "/libBlue.so")
    }
  }

  @Test("REFT_HOME moves the user's plugins")
  func home() throws {
    try withTemporaryDirectory { root in
      try makeFolder(root + "/moved/plugins", id: "org.test.plain")
      try makeFolder(root + "/.local/share/reft/plugins", id: "org.test.plain")
      let moved = catalog([], environment: ["HOME": root, "REFT_HOME": root + "/moved"])
      #expect(try moved.find("plain").path == Self.real(root + "/moved/plugins/plain.so"))
      #expect(moved.folders.filter { $0.origin == "the user" }.count == 1)
    }
  }

  @Test("says where it looked and what was probably meant")
  func notFound() throws {
    try withTemporaryDirectory { root in
      try makeFolder(root + "/a", id: "org.test.plain")
      let error = #expect(throws: ReFTError.self) {
        try catalog([root + "/a", "relative", root + "/none"]).find("plian")
      }
      #expect(error?.code == .pluginRefused)
      let message = error?.message ?? ""
      #expect(message.contains("no plugin is named 'plian'; did you mean 'plain'?"))
      #expect(message.contains(Self.real(root + "/a")))
      #expect(message.contains("plugin path 'relative' is relative"))
      #expect(message.contains("plugin folder '\(root)/none' cannot be read"))
    }
  }

  @Test("never looks into the current directory, a relative path or a folder open to everybody")
  func hostilePlaces() throws {
    try withTemporaryDirectory { root in
      try makeFolder(root + "/open", id: "org.test.plain")
      chmod(root + "/open", 0o777)
      try makeFolder(root + "/open/inner", id: "org.test.plain")
      let environment = ["REFT_PLUGIN_PATH": ".:plugins::\(root)/open:\(root)/open/inner"]
      let hostile = catalog([], environment: environment)
      #expect(!hostile.folders.contains { $0.path.hasPrefix(root) })
      #expect(
        hostile.refusedFolders.map(\.path)
          == [".", "plugins", root + "/open", root + "/open/inner"]
      )
      #expect(throws: ReFTError.self) { try hostile.find("plain") }
    }
  }

  @Test("gives the reason for refusing the file that has the name")
  func refusedFile() throws {
    try withTemporaryDirectory { root in
      _ = try CompiledPlugin.make(["ABI_MAJOR": "2"], in: root, name: "libPlain.so")
      let error = #expect(throws: ReFTError.self) { try catalog([root]).find("plain") }
      #expect(error?.message.contains("libPlain.so' speaks ABI major 2") == true)
    }
  }

  @Test("lists what is there, shadowed and refused alike")
  func list() throws {
    try withTemporaryDirectory { root in
      try makeFolder(root + "/a", id: "org.test.plain")
      try makeFolder(root + "/b", id: "org.test.plain", name: "again.so")
      try makeFolder(root + "/bin", id: "org.test.more", name: "more.so")
      try "no".write(toFile: root + "/b/text.so", atomically: false, encoding: .utf8)
      _ = try CompiledPlugin.make(["NO_ENTRY": "1"], in: root + "/bin", name: "libforeign.so")
      // The library of a manifest is no plugin, and that is right; this loader takes no manifests.
      _ = try CompiledLibrary.c(ManifestPluginTests.clip, name: "libclip", in: root + "/b")
      try Data(ManifestPluginTests.clipManifest.utf8).write(
        to: URL(filePath: root + "/b/clip.reft.json")
      )
      let entries = catalog([root + "/a", root + "/b"], executable: root + "/bin").list()
      let texts = entries.compactMap { entry -> String? in
        switch entry {
        case .plugin(let plugin, let reach):
          return plugin.path.hasPrefix("/usr") ? nil : "\(plugin.name) \(reach)"
        case .refused(let path, _): return (path as NSString).lastPathComponent
        }
      }
      #expect(texts == ["plain name", "plain nothing", "clip.reft.json", "text.so", "more name"])
    }
  }
}
