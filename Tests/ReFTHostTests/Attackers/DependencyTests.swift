// SPDX-License-Identifier: Apache-2.0
// What a plugin needs is part of what is trusted: found by the host, looked at, hashed.

import Foundation
import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("What plugins need")
struct DependencyTests {
  /// Builds `libhelper.so` and a plugin that needs it.
  private func build(
    in folder: String,
    helper: String = "int helper(void) { return 1; }",
    helperFlags: [String] = [],
    soname: String = "libhelper.so",
    search: String = "$ORIGIN"
  ) throws -> String {
    try compileHelper(in: folder, helper, helperFlags, soname: soname)
    return try CompiledPlugin.make(
      in: folder,
      flags: [
        "-L", folder, "-Wl,--no-as-needed", "-lhelper", "-Wl,--enable-new-dtags",
        "-Wl,-rpath,\(search)",
      ]
    )
  }

  private func compileHelper(
    in folder: String,
    _ source: String,
    _ flags: [String] = [],
    soname: String = "libhelper.so",
    name: String = "libhelper.so"
  ) throws {
    let file = "\(folder)/\(name).c"
    try Data(source.utf8).write(to: URL(filePath: file))
    try CompiledLibrary.run(
      ["cc", "-shared", "-fPIC", "-o", "\(folder)/\(name)", file, "-Wl,-soname,\(soname)"] + flags
    )
  }

  private func refusal(_ path: String) -> String {
    do throws(ReFTError) {
      try PluginFile(path: path).look()
      return ""
    } catch {
      return error.code == .pluginRefused ? error.message : "\(error.code): \(error.message)"
    }
  }

  private func settings() throws -> IsolationSettings {
    IsolationSettings(workerPath: try #require(BuiltPlugins.folder) + "/reft-plugin-worker")
  }

  @Test("a library beside the plugin is loaded with it, in process and not, and changes its hash")
  func beside() throws {
    try withTemporaryDirectory { folder in
      let path = try build(in: folder)
      let file = try PluginFile(path: path)
      let bytes = try Data(contentsOf: URL(filePath: path))
      let alone = "sha256:" + bytes.withUnsafeBytes { SHA256Digest.hex(of: $0) }
      #expect(file.hash != alone)
      let plugin = try #require(try InProcessLoader.load(file).first)
      #expect(plugin.hash == file.hash)
      let isolated = try #require(try IsolatedLoader.load(file, settings: settings()).first)
      #expect(isolated.hash == file.hash)
      let instance = try isolated.makeInstance(at: Attacker.site, options: [:])
      #expect(IsolatedLoader.attempts(of: instance) == [])
      try compileHelper(in: folder, "int helper(void) { return 2; }")
      #expect(try PluginFile(path: path).hash != file.hash)
    }
  }

  @Test("only what is the system's needs no hash: it is loaded by its path")
  func systems() throws {
    try withTemporaryDirectory { folder in
      let path = try CompiledPlugin.make(
        in: folder,
        flags: ["-Wl,--no-as-needed", "-l:libpthread.so.0", "-l:libresolv.so.2"]
      )
      let bytes = try Data(contentsOf: URL(filePath: path))
      let file = try PluginFile(path: path)
      #expect(file.hash == "sha256:" + bytes.withUnsafeBytes { SHA256Digest.hex(of: $0) })
      let isolated = try #require(try IsolatedLoader.load(file, settings: settings()).first)
      let instance = try isolated.makeInstance(at: Attacker.site, options: [:])
      #expect(IsolatedLoader.attempts(of: instance) == [])
    }
  }

  @Test(
    "search folders that mean the current one are refused, by whatever name",
    arguments: [
      ("/proc/self/cwd", "means another place for each process"), (".", "is no absolute path"),
      ("$LIB", "is no absolute path"), ("/usr/lib/$LIB", "is no absolute path"),
    ]
  )
  func currentFolder(search: String, says: String) throws {
    try withTemporaryDirectory { folder in
      let path = try build(in: folder, search: search)
      #expect(refusal(path).contains(says), "\(refusal(path))")
    }
  }

  @Test("a link that leads to the current folder is no way around that")
  func linkToCurrentFolder() throws {
    try withTemporaryDirectory { folder in
      try FileManager.default.createSymbolicLink(
        atPath: folder + "/here",
        withDestinationPath: "/proc/self/cwd"
      )
      let path = try build(in: folder, search: folder + "/here")
      #expect(refusal(path).contains("means another place for each process"), "\(refusal(path))")
    }
  }

  @Test("a dependency's own search folders are held to the same")
  func dependencyOfDependency() throws {
    try withTemporaryDirectory { folder in
      let path = try build(in: folder, helperFlags: ["-Wl,-rpath,."])
      #expect(refusal(path).contains("libhelper.so' has what it needs looked for in '.'"))
    }
  }

  @Test("what is not there is named with where it was looked for")
  func missing() throws {
    try withTemporaryDirectory { folder in
      let path = try build(in: folder)
      try FileManager.default.removeItem(atPath: folder + "/libhelper.so")
      let text = refusal(path)
      #expect(text.contains("needs the library 'libhelper.so', which is not there: looked in"))
      #expect(text.contains("(not in LD_LIBRARY_PATH)"))
    }
  }

  @Test("a library of another user, or that everybody may write to, is refused")
  func owners() throws {
    try withTemporaryDirectory { folder in
      let path = try build(in: folder)
      chmod(folder + "/libhelper.so", 0o777)
      #expect(refusal(path).contains("can be written by everybody"), "\(refusal(path))")
      chmod(folder + "/libhelper.so", 0o755)
      #expect(refusal(path) == "")
      if geteuid() == 0 {
        chown(folder + "/libhelper.so", 65534, 65534)
        #expect(refusal(path).contains("belongs to user 65534"), "\(refusal(path))")
      }
    }
  }

  @Test("libraries that need one another, or call themselves by another name, are refused")
  func names() throws {
    try withTemporaryDirectory { folder in
      let path = try build(in: folder, soname: "libhelper.so")
      try compileHelper(
        in: folder,
        "int other(void) { return 1; }",
        ["-L", folder, "-Wl,--no-as-needed", "-lhelper"],
        soname: "libother.so",
        name: "libother.so"
      )
      try compileHelper(
        in: folder,
        "int helper(void) { return 1; }",
        ["-L", folder, "-Wl,--no-as-needed", "-lother", "-Wl,-rpath,$ORIGIN"]
      )
      #expect(refusal(path).contains("neither can be loaded before the other"), "\(refusal(path))")
      try compileHelper(in: folder, "int helper(void) { return 1; }", soname: "libelse.so")
      #expect(refusal(path).contains("calls itself 'libelse.so'"), "\(refusal(path))")
    }
  }

  @Test("a library that is named by its path is not taken for one of the program's")
  func namedByPath() throws {
    try withTemporaryDirectory { folder in
      let name = folder + "/libc.so.6"
      try compileHelper(
        in: folder,
        "int helper(void) { return 1; }",
        soname: name,
        name: "libc.so.6"
      )
      let path = try CompiledPlugin.make(
        in: folder,
        flags: ["-Wl,--no-as-needed", folder + "/libc.so.6"]
      )
      let file = try PluginFile(path: path)
      let bytes = try Data(contentsOf: URL(filePath: path))
      #expect(file.hash != "sha256:" + bytes.withUnsafeBytes { SHA256Digest.hex(of: $0) })
    }
  }
}
