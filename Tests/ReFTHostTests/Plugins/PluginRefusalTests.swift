// SPDX-License-Identifier: Apache-2.0
// Everything that the loader refuses, and the sentence for it.

import Foundation
import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

/// A plugin with one fault, and what the refusal must say.
struct RefusalCase: Sendable, CustomTestStringConvertible {
  var name: String
  var macros: [String: String] = [:]
  var flags: [String] = []
  var says: String
  var testDescription: String { name }
}

/// Bytes that are no plugin, and what the refusal must say.
struct FileCase: Sendable, CustomTestStringConvertible {
  var name: String
  var change: @Sendable (inout [UInt8]) -> Void
  var says: String
  var testDescription: String { name }
}

@Suite("Plugins that are refused")
struct PluginRefusalTests {
  @Test(
    "by what their tables say",
    arguments: [
      RefusalCase(
        name: "no entry",
        macros: ["NO_ENTRY": "1"],
        says: "exports no function reft_plugin_entry_v1"
      ),
      RefusalCase(
        name: "an entry of another major",
        macros: ["ENTRY": "reft_plugin_entry_v2"],
        says: "speaks ABI major 2; this program speaks 1"
      ),
      RefusalCase(
        name: "a table of another major",
        macros: ["ABI_MAJOR": "3"],
        says: "speaks ABI major 3; this program speaks 1"
      ),
      RefusalCase(
        name: "the entry declines",
        macros: ["DECLINES": "1"],
        says: "declines to work here: this build wants a newer processor"
      ),
      RefusalCase(
        name: "no plugins",
        macros: ["N_PLUGINS": "0"],
        says: "holds 0 plugins; from 1 to 256 are possible"
      ),
      RefusalCase(
        name: "duplicate ids",
        macros: ["N_PLUGINS": "2"],
        says: "two of its plugins have the id 'org.test.plain'"
      ),
      RefusalCase(
        name: "a null list",
        macros: ["SLOTS": "library.plugins = 0"],
        says: "its list of plugins is null"
      ),
      RefusalCase(
        name: "a short library",
        macros: ["SLOTS": "library.struct_size = 16"],
        says: "reft_library_t has struct_size 16; ABI 1.0 has 24"
      ),
      RefusalCase(
        name: "a short plugin",
        macros: ["PLUGIN_SIZE": "152"],
        says: "reft_plugin_t has struct_size 152; ABI 1.0 has 160"
      ),
      RefusalCase(
        name: "no create",
        macros: ["SLOTS": "plugin.create = 0"],
        says: "'org.test.plain' leaves the required slot create null"
      ),
      RefusalCase(
        name: "no destroy",
        macros: ["SLOTS": "plugin.destroy = 0"],
        says: "slot destroy null"
      ),
      RefusalCase(
        name: "no param_info",
        macros: ["SLOTS": "plugin.param_info = 0"],
        says: "slot param_info null"
      ),
      RefusalCase(name: "no plan", macros: ["SLOTS": "plugin.plan = 0"], says: "slot plan null"),
      RefusalCase(
        name: "no forward",
        macros: ["SLOTS": "plugin.forward = 0"],
        says: "slot forward null"
      ),
      RefusalCase(
        name: "no backward",
        macros: ["SLOTS": "plugin.backward = 0"],
        says: "slot backward null; write it, or set REFT_CAP_NO_BACKWARD"
      ),
      RefusalCase(
        name: "a name that is not UTF-8",
        macros: ["ID": "\"org.test.\\xff\""],
        says: "the id of plugin 0 is not UTF-8"
      ),
      RefusalCase(
        name: "an id without a domain",
        macros: ["ID": "\"plain\""],
        says: "the id of plugin 0 is 'plain'; it must be a reverse domain"
      ),
      RefusalCase(
        name: "an id with a path",
        macros: ["ID": "\"org.../x\""],
        says: "must be a reverse domain"
      ),
      RefusalCase(
        name: "a text without address",
        macros: ["SLOTS": "plugin.summary.ptr = 0"],
        says: "the summary of plugin 0 is not UTF-8"
      ),
      RefusalCase(
        name: "a text without end",
        macros: ["SLOTS": "plugin.summary.len = 1ull << 60"],
        says: "the summary of plugin 0 is not UTF-8 text of at most 65536 bytes"
      ),
      RefusalCase(
        name: "no version",
        macros: ["SLOTS": "plugin.version.len = 0"],
        says: "states no version"
      ),
      RefusalCase(
        name: "no float32",
        macros: ["SLOTS": "plugin.dtypes = 4"],
        says: "does not serve float32 rows (dtypes is 4)"
      ),
      RefusalCase(
        name: "an option of no type",
        macros: ["OPTION": ".type = 9"],
        says: "of unknown type 9"
      ),
      RefusalCase(
        name: "a default out of its range",
        macros: ["OPTION": ".default_i = 9, .minimum = 1, .maximum = 4"],
        says: "the default 9 of option 'size' of plugin 'org.test.plain' is not one it allows"
      ),
      RefusalCase(
        name: "a symbol that nobody has",
        macros: ["FORWARD": "nobody_has_this()"],
        says: "cannot be loaded: the file: undefined symbol: nobody_has_this"
      ),
      RefusalCase(
        name: "text relocations",
        flags: ["-fno-pic", "-mcmodel=large", "-Wl,-z,notext"],
        says: "has text relocations, which need writable code"
      ),
      RefusalCase(
        name: "a second OpenMP",
        flags: ["-Wl,--no-as-needed", "-l:libgomp.so.1"],
        says: "is linked with libgomp.so.1, a second OpenMP runtime"
      ),
    ]
  )
  func tables(_ example: RefusalCase) throws {
    try withTemporaryDirectory { folder in
      let path = try CompiledPlugin.make(example.macros, in: folder, flags: example.flags)
      let error = #expect(throws: ReFTError.self) { try CompiledPlugin.load(path) }
      #expect(error?.code == .pluginRefused)
      #expect(error?.message.contains(example.says) == true, "\(error?.message ?? "")")
      #expect(error?.message.contains(path) == true, "the file is not named")
    }
  }

  static let files = [
    FileCase(name: "text", change: { $0 = Array("#!/bin/sh".utf8) }, says: "the ELF mark"),
    FileCase(name: "a head alone", change: { $0 = Array($0[..<40]) }, says: "within its header"),
    FileCase(name: "32 bits", change: { $0[4] = 1 }, says: "not a 64-bit little-endian file"),
    FileCase(name: "big-endian", change: { $0[5] = 2 }, says: "not a 64-bit little-endian file"),
    FileCase(name: "another machine", change: { $0[18] = 8 }, says: "is built for machine 8"),
    FileCase(name: "a program", change: { $0[16] = 2 }, says: "its type is 2, not 3"),
    FileCase(name: "cut in half", change: { $0 = Array($0[..<($0.count / 4)]) }, says: "damaged"),
    FileCase(name: "headers beyond the end", change: { $0[36] = 1 }, says: "damaged: a table at"),
    FileCase(
      name: "headers at the end of numbers",
      change: { bytes in for place in 32..<40 { bytes[place] = 0xFF } },
      says: "damaged"
    ),
  ]

  @Test("by what their bytes are", arguments: files)
  func bytes(_ example: FileCase) throws {
    try withTemporaryDirectory { folder in
      let path = try CompiledPlugin.make(in: folder)
      var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
      example.change(&bytes)
      try Data(bytes).write(to: URL(fileURLWithPath: folder + "/bad.so"))
      let error = #expect(throws: ReFTError.self) { try CompiledPlugin.load(folder + "/bad.so") }
      #expect(error?.code == .pluginRefused)
      #expect(error?.message.contains(example.says) == true, "\(error?.message ?? "")")
    }
  }

  @Test("whatever byte of the file's tables is wrong, without a trap")
  func damagedTables() throws {
    try withTemporaryDirectory { folder in
      let good = [UInt8](
        try Data(contentsOf: URL(fileURLWithPath: CompiledPlugin.make(in: folder)))
      )
      var generator = SeededGenerator(seed: 77)
      var refused = 0
      for _ in 0..<3000 {
        var bytes = good
        for _ in 0..<4 {
          bytes[Int.random(in: 16..<2048, using: &generator)] = UInt8.random(
            in: 0...255,
            using: &generator
          )
        }
        bytes.withUnsafeBytes { bytes in
          do throws(ReFTError) { _ = try ELFImage(bytes, path: "x.so") } catch { refused += 1 }
        }
      }
      #expect(refused > 100)
    }
  }

  @Test(
    "by where they would have what they need looked for",
    arguments: [
      ("lib", "looked for in 'lib' (RUNPATH), which is no absolute path"),
      ("/usr/lib::", "looked for in '' (RUNPATH), which is no absolute path"),
      ("$ORIGIN/../cwd", "looked for in '$ORIGIN/../cwd' (RUNPATH), which is no absolute path"),
      ("/tmp/not/there", "looked for in '/tmp/not/there' (NEEDED or RUNPATH), where anybody could"),
    ]
  )
  func searches(folders: String, says: String) throws {
    try withTemporaryDirectory { folder in
      for tag in ["--enable-new-dtags", "--disable-new-dtags"] {
        let path = try CompiledPlugin.make(
          in: folder,
          flags: ["-Wl,\(tag)", "-Wl,-rpath,\(folders)"]
        )
        let error = #expect(throws: ReFTError.self) {
          try PluginFile(path: path).look()
        }
        #expect(error?.message.contains(says) == true, "\(error?.message ?? "")")
      }
      let path = try CompiledPlugin.make(in: folder, flags: ["-Wl,-rpath,/usr/lib:$ORIGIN/lib"])
      try PluginFile(path: path).look()
    }
  }

  @Test("by a library that they need by a relative path")
  func relativeNeed() throws {
    try withTemporaryDirectory { folder in
      _ = try CompiledLibrary.c("int helper(void) { return 1; }", name: "helper", in: folder)
      let file = folder + "/plugin.c"
      try Data("int reft_plugin_entry_v1(void) { int helper(void); return helper(); }".utf8)
        .write(to: URL(filePath: file))
      try CompiledLibrary.run([
        "sh", "-c", "cd '\(folder)' && cc -shared -fPIC -o needs.so plugin.c ./helper.so",
      ])
      let error = #expect(throws: ReFTError.self) {
        try PluginFile(path: folder + "/needs.so").look()
      }
      #expect(
        error?.message.contains("needs the library './helper.so' by a relative path") == true
      )
    }
  }

  @Test("by where they lie")
  func places() throws {
    try withTemporaryDirectory { folder in
      let path = try CompiledPlugin.make(in: folder)
      func refusal(_ path: String) -> String {
        do throws(ReFTError) {
          _ = try PluginFile(path: path)
          return ""
        } catch {
          return error.message
        }
      }
      #expect(refusal("plain.so").contains("is relative"))
      #expect(refusal("./plain.so").contains("is relative"))
      #expect(refusal(folder).contains("is not a regular file"))
      #expect(refusal(folder + "/none.so").contains("No such file"))
      chmod(path, 0o777)
      #expect(refusal(path).contains("plugin file '\(path)' can be written by everybody"))
      chmod(path, 0o755)
      chmod(folder, 0o777)
      #expect(refusal(path).contains("can be written by everybody"))
      chmod(folder, 0o755)
      #expect(refusal(path) == "")
    }
  }
}
