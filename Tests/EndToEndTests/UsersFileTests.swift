// SPDX-License-Identifier: Apache-2.0
// Files of the user where a command wants to write: they stay, and the command says so before it works.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("The user's own files")
struct UsersFileTests {
  /// Something in the run folder `run`, and what the message names.
  struct Conflict: Sendable, CustomTestStringConvertible {
    var id: String
    /// Shell lines that put it there; `kept` is what must stay as it is.
    var make: String
    var kept: String
    var says: String
    var testDescription: String { id }
  }

  static let conflicts = [
    Conflict(
      id: "a file called adapter",
      make: "mkdir -p run; echo mine > run/adapter",
      kept: "run/adapter",
      says: "run/adapter', which is of no run there"
    ),
    Conflict(
      id: "adapter is a link",
      make: "mkdir -p run mine; echo mine > mine/notes; ln -s ../mine run/adapter",
      kept: "mine/notes",
      says: "run/adapter', which is a link and of no run there"
    ),
    Conflict(
      id: "checkpoints is a link",
      make: "mkdir -p run mine/step-00000001; echo mine > mine/step-00000001/x; "
        + "ln -s ../mine run/checkpoints",
      kept: "mine/step-00000001/x",
      says: "run/checkpoints', which is a link and of no run there"
    ),
    Conflict(
      id: "checkpoints is a file",
      make: "mkdir -p run; echo mine > run/checkpoints",
      kept: "run/checkpoints",
      says: "run/checkpoints', which is of no run there"
    ),
    Conflict(
      id: "a manifest that is of no run",
      make: "mkdir -p run/adapter; echo '{}' > run/manifest.json; echo mine > run/adapter/notes",
      kept: "run/adapter/notes",
      says: "run/manifest.json', which is of no run there"
    ),
    Conflict(
      id: "a manifest of another program",
      make: "mkdir -p run; echo mine > run/report.html; "
        + "echo '{\"status\": \"finished\", \"format\": \"npm\"}' > run/manifest.json",
      kept: "run/report.html",
      says: "run/manifest.json', which is of no run there"
    ),
    Conflict(
      id: "a manifest that is a link",
      make: "mkdir -p run; echo '{\"format\": \"reft-run\"}' > m; ln -s ../m run/manifest.json; "
        + "echo mine > run/config.yaml",
      kept: "run/config.yaml",
      says: "run/manifest.json', which is a link and of no run there"
    ),
    Conflict(
      id: "a report without a run",
      make: "mkdir -p run; echo mine > run/report.html",
      kept: "run/report.html",
      says: "run/report.html', which is of no run there"
    ),
    Conflict(
      id: "metrics that are a link",
      make: "mkdir -p run; echo mine > m; ln -s ../m run/metrics.jsonl",
      kept: "m",
      says: "run/metrics.jsonl', which is a link and of no run there"
    ),
    Conflict(
      id: "a lock that is a link",
      make: "mkdir -p run; echo mine > m; ln -s ../m run/.lock",
      kept: "m",
      says: "run/.lock', which is a link and of no run there"
    ),
    Conflict(
      id: "checkpoints without a run",
      make: "mkdir -p run/checkpoints/step-00000007; echo mine > run/checkpoints/step-00000007/x",
      kept: "run/checkpoints/step-00000007/x",
      says: "run/checkpoints/step-00000007', which is of no run there"
    ),
    Conflict(
      id: "the run folder is a file",
      make: "echo mine > run",
      kept: "run",
      says: "run' is a file, and a run needs a folder; choose another --output"
    ),
  ]

  private func shell(_ line: String, in folder: String) throws -> Tool {
    let script = "reft() { \"\(Tool.products)/reft\" \"$@\"; }\n" + line
    return try Tool.run("/bin/bash", ["-c", script], folder: folder)
  }

  @Test("in the run folder are named before any work, and stay", arguments: conflicts)
  func stay(_ conflict: Conflict) throws {
    for mode in ["", "--overwrite", "--resume"] {
      try withTemporaryDirectory { folder in
        let bench = Workbench(folder: folder)
        try bench.writeRun()
        #expect(try shell(conflict.make, in: folder).status == 0)
        let kept = try bench.read(conflict.kept)
        let tool = try shell("reft train run.yaml \(mode)", in: folder)
        #expect(tool.status == 64, "\(mode): \(tool.errors)")
        #expect(tool.errors.contains(conflict.says), "\(mode): \(tool.errors)")
        #expect(!tool.errors.contains("trainable parameters"))
        #expect(try bench.read(conflict.kept) == kept)
      }
    }
  }

  @Test("that lie beside a run's stay when it is overwritten")
  func overwrite() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let tool = try shell(
        """
        reft train run.yaml || exit 1
        echo mine > run/notes; echo mine > run/adapter/notes; echo mine > run/checkpoints/.keep
        mkdir run/checkpoints/step-1; echo mine > run/checkpoints/step-1/notes
        mkdir -p run/checkpoints/.step-9.tmp-1; echo half > run/checkpoints/.step-9.tmp-1/state.json
        mkdir -p run/.adapter.tmp-77; echo half > run/.metrics.jsonl.tmp-12-3
        reft train run.yaml --overwrite
        """,
        in: folder
      )
      #expect(tool.status == 0, "\(tool.errors)")
      for name in [
        "notes", "adapter/notes", "checkpoints/.keep", "checkpoints/step-1/notes",
        "adapter/adapter_config.json", "report.html",
      ] {
        #expect(FileManager.default.fileExists(atPath: bench.path("run/" + name)), "\(name)")
      }
      for name in ["checkpoints/.step-9.tmp-1", ".adapter.tmp-77", ".metrics.jsonl.tmp-12-3"] {
        #expect(!FileManager.default.fileExists(atPath: bench.path("run/" + name)), "\(name)")
      }
    }
  }

  @Test("in a checkpoint's folder keep it, and --overwrite names them")
  func inCheckpoint() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let tool = try shell(
        """
        reft train run.yaml || exit 1
        echo mine > run/checkpoints/step-00000002/notes
        reft train run.yaml --overwrite
        """,
        in: folder
      )
      #expect(tool.status == 64)
      let item = "run/checkpoints/step-00000002/notes"
      #expect(tool.errors.contains("\(item)', which is of no run there"))
      #expect(FileManager.default.fileExists(atPath: bench.path("run/adapter/adapter_config.json")))
    }
  }

  @Test("lists what a run writes in its manifest, and runs in a folder behind a link")
  func manifest() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let tool = try shell("mkdir big; ln -s big run; reft train run.yaml", in: folder)
      #expect(tool.status == 0, "\(tool.errors)")
      let data = Data(try bench.read("big/manifest.json"))
      let document = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
      let listed = try #require(document["files"] as? [String])
      let walk = try #require(FileManager.default.enumerator(atPath: bench.path("big")))
      for case let name as String in walk where !bench.isFolder("big/" + name) {
        let isCheckpoint = name.hasPrefix("checkpoints/step-")
        let isEvents = name.hasPrefix("events.out.tfevents.")
        let pattern =
          isCheckpoint ? "checkpoints/step-*" : isEvents ? "events.out.tfevents.*" : name
        #expect(listed.contains(pattern), "\(name)")
      }
      #expect(document["kernels"] is String)
    }
  }

  @Test("with blanks and quotes in their names are quoted in the command that goes on")
  func quoted() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let tool = try shell(
        """
        mv run.yaml "my run's.yaml"
        { "\(Tool.products)/reft" train "my run's.yaml" --set train.epochs=1000000 \
          --output "out put" --set train.save_every=10 2> errors; echo $?; } &
        until ls "out put/checkpoints" 2>/dev/null | grep -q step-; do sleep 0.02; done
        kill -TERM $(pgrep -P $!); wait $!
        """,
        in: folder
      )
      #expect(tool.text == "130\n", "\(tool.errors)")
      let errors = String(decoding: try bench.read("errors"), as: UTF8.self)
      #expect(
        errors.contains(
          "go on with: reft train 'my run'\\''s.yaml' --set train.epochs=1000000 --set "
            + "train.save_every=10 --output 'out put' --resume\n"
        ),
        "\(errors)"
      )
    }
  }

  @Test(
    "are not replaced by results that they cannot be",
    arguments: [
      ("rows.jsonl", "rows.jsonl' is 'rows.jsonl', which the command reads; choose another file"),
      ("./tiny.gguf", "tiny.gguf' is 'tiny.gguf', which the command reads; choose another file"),
      ("notes", "notes' is there and no file of gradients; choose another file, or remove it"),
      ("adapter", "adapter' is a folder; give the path of a file"),
      ("none/g.safetensors", "its folder 'none': No such file or directory"),
    ]
  )
  func gradients(_ path: String, _ message: String) throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      try bench.writeAdapter()
      try bench.write("mine", to: "notes")
      let call = "reft score --model tiny.gguf --data rows.jsonl --adapter adapter --gradients "
      let tool = try shell(call + path, in: folder)
      #expect(tool.status == (path.hasPrefix("none") ? 74 : 64))
      #expect(tool.errors.contains(message), "\(tool.errors)")
      #expect(String(decoding: try bench.read("notes"), as: UTF8.self) == "mine")
    }
  }

  @Test("of earlier gradients are replaced, through a link too, and a device stays one")
  func gradientsAgain() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      try bench.writeAdapter()
      let call = "reft score --model tiny.gguf --data rows.jsonl --adapter adapter --gradients "
      let tool = try shell(
        "\(call) g && ln -s g link && \(call) link && \(call) /dev/null && test -L link && test -c "
          + "/dev/null",
        in: folder
      )
      #expect(tool.status == 0, "\(tool.errors)")
      #expect(try Safetensors.read(path: bench.path("g")).metadata["reft"] == "gradients")
    }
  }
}

extension Workbench {
  fileprivate func isFolder(_ name: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path(name), isDirectory: &isFolder)
      && isFolder.boolValue
  }
}
