// SPDX-License-Identifier: Apache-2.0
// The user's own plugins: installed, listed, trusted, removed, and found under one name everywhere.

import Foundation
import Testing
import _ReFTTestSupport

@Suite("A user's own plugins")
struct PluginLibraryTests {
  /// A folder with a home of its own and a built plugin, `tilt`.
  private func bench(_ body: (Workbench, ([String]) throws -> Tool) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      func reft(_ call: [String]) throws -> Tool {
        try Tool.reft(call, environment: ["REFT_HOME": folder + "/home"], folder: folder)
      }
      let made = try reft(["plugin", "new", "tilt"])
      #expect(made.status == 0, "\(made.errors)")
      let source = try String(contentsOfFile: bench.path("tilt/tilt.c"), encoding: .utf8)
      try bench.compile(source, to: "tilt.so")
      try compile(
        source.replacing("org.example.tilt", with: "com.acme.tilt"),
        "acme/tilt.so",
        bench
      )
      try body(bench, reft)
    }
  }

  private func compile(_ source: String, _ name: String, _ bench: Workbench) throws {
    let folder = (bench.path(name) as NSString).deletingLastPathComponent
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try bench.compile(source, to: name)
  }

  /// The row of a plugin in the list.
  private func row(_ id: String, _ list: Tool) throws -> [String: Any] {
    let rows = try #require(try list.json()["plugins"] as? [[String: Any]])
    return try #require(rows.first { $0["id"] as? String == id }, "\(list.text)")
  }

  @Test("are installed once checked, and run inside the program by the user's word alone")
  func install() throws {
    try bench { bench, reft in
      let checked = try reft(["plugin", "check", "tilt.so"])
      #expect(checked.status == 0, "\(checked.text)")
      let plain = try reft(["plugin", "install", "tilt.so"])
      #expect(plain.status == 0, "\(plain.errors)")
      let target = bench.path("home/plugins/tilt.so")
      #expect(plain.text.contains("installed \(target): org.example.tilt"))
      #expect(plain.text.contains("not trusted: it runs in a process of its own"))
      var listed = try row("org.example.tilt", reft(["plugin", "list", "--json"]))
      #expect(listed["trust"] as? String == "unknown")
      #expect(listed["check"] as? String == "passed level 3")
      #expect(listed["isolation"] as? String == "process")
      #expect(listed["why_isolated"] as? String == "you do not trust it")

      let trusted = try reft(["plugin", "install", "tilt.so", "--trust", "--json"])
      #expect(trusted.status == 0, "\(trusted.errors)")
      let document = try trusted.json()
      #expect(document["path"] as? String == target)
      #expect(document["trust"] as? String == "trusted")
      #expect((document["hash"] as? String)?.hasPrefix("sha256:") == true)
      listed = try row("org.example.tilt", reft(["plugin", "list", "--json"]))
      #expect(listed["isolation"] as? String == "none")
      #expect(listed["why_isolated"] is NSNull)
      let info = try reft(["plugin", "info", "tilt", "--json"])
      #expect(try info.json()["trust"] as? String == "trusted")

      let revoked = try reft(["plugin", "trust", "tilt", "--revoke", "--json"])
      #expect(try revoked.json()["trust"] as? String == "unknown")
    }
  }

  @Test("never replace one another by accident, and no broken one is installed")
  func refusals() throws {
    try bench { bench, reft in
      #expect(try reft(["plugin", "install", "tilt.so"]).status == 0)
      let other = try reft(["plugin", "install", "acme/tilt.so"])
      #expect(other.status == 69)
      #expect(
        other.errors.contains(
          "error: '\(bench.path("home/plugins/tilt.so"))' holds org.example.tilt, and com.acme.tilt "
            + "would replace it; give your file another name, or replace it with --force"
        ),
        "\(other.errors)"
      )
      let forced = try reft(["plugin", "install", "acme/tilt.so", "--force", "--json"])
      #expect(forced.status == 0, "\(forced.errors)")
      let listed = try row("com.acme.tilt", reft(["plugin", "list", "--json"]))
      #expect(listed["found_by"] as? String == "tilt")

      try FileManager.default.copyItem(
        atPath: bench.path("tilt.so"),
        toPath: bench.path("tilt.so.1")
      )
      let named = try reft(["plugin", "install", "tilt.so.1"])
      #expect(named.status == 64)
      #expect(
        named.errors
          == "error: no plugin is found in a file named 'tilt.so.1'; its name must end in .so, or in "
          + ".reft.json for a manifest, and begin with no dot; rename it\n"
      )

      let source = try String(contentsOfFile: bench.path("tilt/tilt.c"), encoding: .utf8)
      let wrong = source.replacing("[1])[j] += dy;", with: "[1])[j] -= dy;")
      #expect(wrong != source)
      try bench.compile(wrong, to: "wrong.so")
      let broken = try reft(["plugin", "install", "wrong.so", "--trust"])
      #expect(broken.status == 69)
      #expect(
        broken.errors.contains("breaks 2 rules and is not installed; ABI-303: The gradient of"),
        "\(broken.errors)"
      )
      #expect(!FileManager.default.fileExists(atPath: bench.path("home/plugins/wrong.so")))
    }
  }

  @Test("say which plugin of their name, or their id, they come before")
  func hides() throws {
    try bench { bench, reft in
      let source = try String(contentsOfFile: bench.path("tilt/tilt.c"), encoding: .utf8)
      try compile(
        source.replacing("org.example.tilt", with: "com.acme.loreft"),
        "loreft.so",
        bench
      )
      let target = bench.path("home/plugins/loreft.so")
      for _ in 0..<2 {
        let installed = try reft(["plugin", "install", "loreft.so"])
        #expect(installed.status == 0, "\(installed.errors)")
        #expect(
          installed.errors.contains(
            "warning: 'loreft' finds com.acme.loreft ('\(target)') from now on, and no longer "
              + "org.reft.loreft ('\(Tool.products)/libLoReFT.so'); write the id org.reft.loreft for "
              + "that one"
          ),
          "\(installed.errors)"
        )
      }
      try compile(source.replacing("org.example.tilt", with: "org.reft.loreft"), "same.so", bench)
      #expect(try reft(["plugin", "remove", "com.acme.loreft"]).status == 0)
      let same = try reft(["plugin", "install", "same.so"])
      #expect(same.status == 0, "\(same.errors)")
      #expect(
        same.errors.contains(
          "warning: '\(bench.path("home/plugins/same.so"))' comes before "
            + "'\(Tool.products)/libLoReFT.so', which has the id org.reft.loreft too; `reft plugin "
            + "remove same.so` brings that one back"
        ),
        "\(same.errors)"
      )
      let other = try reft(["plugin", "install", "tilt.so"])
      #expect(other.status == 0, "\(other.errors)")
      for word in ["comes before", "from now on"] {
        #expect(!other.errors.contains(word), "\(other.errors)")
      }
    }
  }

  @Test("are not judged by a check with an option that they do not have, and nothing is recorded")
  func wrongOption() throws {
    try bench { bench, reft in
      #expect(try reft(["plugin", "install", "tilt.so"]).status == 0)
      #expect(try reft(["plugin", "check", "tilt", "--level", "1"]).status == 0)
      for call in [[], ["--level", "5"], ["--json"], ["--in-process"]] {
        let wrong = try reft(["plugin", "check", "tilt", "--option", "rank=2"] + call)
        #expect(wrong.status == 64 && wrong.text.isEmpty, "\(wrong.text)")
        #expect(
          wrong.errors.contains(
            "error: --option rank=2: org.example.tilt has no option 'rank'; there are no options"
          ),
          "\(wrong.errors)"
        )
      }
      let listed = try row("org.example.tilt", reft(["plugin", "list", "--json"]))
      #expect(listed["check"] as? String == "passed level 1")
    }
  }

  @Test("are removed by name, with a word on the adapters that need them")
  func remove() throws {
    try bench { bench, reft in
      #expect(try reft(["plugin", "install", "tilt.so", "--trust"]).status == 0)
      try bench.writeRun(
        config: Workbench.config.replacing("plugin: loreft", with: "plugin: tilt")
          .replacing("    options: {rank: 2}\n", with: "")
      )
      let trained = try reft(["train", "run.yaml", "--output", "runs/one"])
      #expect(trained.status == 0, "\(trained.errors)")
      let slip = try reft(["plugin", "remove", "tlit"])
      #expect(slip.status == 64)
      #expect(
        slip.errors
          == "error: no plugin 'tlit' is in '\(bench.path("home/plugins"))'; did you mean 'tilt'? "
          + "`reft plugin list` shows what is there\n"
      )
      let ours = try reft(["plugin", "remove", "loreft"])
      #expect(ours.status == 64)
      #expect(ours.errors.contains("only what is in your own folder"))
      let gone = try reft(["plugin", "remove", "tilt", "--json"])
      #expect(gone.status == 0, "\(gone.errors)")
      let document = try gone.json()
      #expect(document["path"] as? String == bench.path("home/plugins/tilt.so"))
      #expect((document["adapters"] as? [String])?.contains("runs/one/adapter") == true)
      #expect(!FileManager.default.fileExists(atPath: bench.path("home/plugins/tilt.so")))
      #expect(FileManager.default.fileExists(atPath: bench.path("tilt.so")))
    }
  }

  @Test("are listed within 100 columns, however long their names and places are")
  func width() throws {
    try bench { bench, reft in
      let long = String(repeating: "very-long-name-", count: 4) + "tilt"
      let source = try String(contentsOfFile: bench.path("tilt/tilt.c"), encoding: .utf8)
      let folder = "\(String(repeating: "deep/", count: 30))plugins"
      let renamed = source.replacing("org.example.tilt", with: "org.example." + long)
      try compile(renamed, folder + "/\(long).so", bench)
      // Relative, as a user writes it.
      let list = try reft(["plugin", "list", "--plugin-path", folder])
      #expect(list.status == 0, "\(list.errors)")
      let lines = list.text.split(separator: "\n")
      #expect(lines.contains { $0.contains("very-long") && $0.contains("isolated") })
      for line in lines { #expect(line.count <= 100, "\(line)") }
      #expect(list.text.contains("isolated because you do not trust them: very-long-name-"))
    }
  }

  @Test("a folder of --plugin-path that is not there is an error in every command")
  func missingFolder() throws {
    try bench { bench, reft in
      for call in [["plugin", "list"], ["plugin", "info", "loreft"], ["doctor"]] {
        let tool = try reft(call + ["--plugin-path", "nowhere"])
        #expect(tool.status == 69)
        #expect(
          tool.errors
            == "error: plugin folder '\(bench.path("nowhere"))' cannot be read: No such file or "
            + "directory; name an existing folder\n"
        )
      }
    }
  }
}
