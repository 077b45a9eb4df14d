// SPDX-License-Identifier: Apache-2.0
// Standard streams that are closed, full, or that nobody reads: a result is an error, anything else
// ends nothing.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Standard streams")
struct StreamTests {
  /// Runs a line of the shell in a folder with the tiny model and a run; `reft` is the built tool.
  private func shell(
    _ line: String,
    _ check: (Workbench, Tool) throws -> Void
  ) throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let script = "reft() { \"\(Tool.products)/reft\" \"$@\"; }\n" + line
      try check(bench, try Tool.run("/bin/bash", ["-c", script], folder: folder))
    }
  }

  private static func refused(_ reason: String) -> String {
    "error: cannot write the result to standard output: \(reason); check where it is redirected "
      + "to\n"
  }

  @Test(
    "a result that cannot be written is one line and status 74, for every command",
    arguments: [
      "model info tiny.gguf", "model info tiny.gguf --json",
      "tokenize --model tiny.gguf --text one", "tokenize --model tiny.gguf --text one --json",
      "score --model tiny.gguf --data rows.jsonl",
      "score --model tiny.gguf --data rows.jsonl --json",
      "generate --model tiny.gguf --prompt one --max-tokens 2",
      "generate --model tiny.gguf --input rows.jsonl --max-tokens 2",
      "generate --model tiny.gguf --prompt one --max-tokens 2 --json", "train run.yaml --json",
      "train run.yaml", "plugin list", "plugin list --json", "plugin info loreft",
      "plugin new my-edit", "plugin check --list-rules", "doctor", "--help", "train --help",
      "--version", "help plugin", "--generate-completion-script bash",
    ]
  )
  func fullOutput(_ call: String) throws {
    try shell("reft \(call) > /dev/full") { _, tool in
      #expect(tool.status == 74)
      let last = tool.errors.split(separator: "\n", omittingEmptySubsequences: false).suffix(2)
      #expect(last.joined(separator: "\n") == Self.refused("No space left on device"))
      if !call.hasPrefix("train run") { #expect(tool.errors.split(separator: "\n").count == 1) }
    }
  }

  @Test("a result for a closed stdout is an error, and no file of ours takes its number")
  func closedOutput() throws {
    try shell("reft model info tiny.gguf >&-") { _, tool in
      #expect(tool.status == 74)
      #expect(tool.errors == Self.refused("Bad file descriptor"))
    }
    try shell("reft train run.yaml --json >&- 2>&- <&-") { bench, tool in
      #expect(tool.status == 74)
      #expect(tool.output.isEmpty && tool.errors.isEmpty)
      let tensors = try bench.read("run/adapter/adapter_model.safetensors")
      #expect(tensors.count > 1000)
      #expect(!String(decoding: tensors, as: UTF8.self).contains("best_loss"))
      let metrics = String(decoding: try bench.read("run/metrics.jsonl"), as: UTF8.self)
      #expect(metrics.split(separator: "\n").allSatisfy { $0.hasPrefix("{\"step\":") })
    }
  }

  @Test(
    "progress and notes that cannot be written never end a run",
    arguments: ["2>&-", "2>/dev/full", "2> >(exit 0)"]
  )
  func lostNotes(_ redirection: String) throws {
    try shell("reft train run.yaml --json \(redirection)") { bench, tool in
      #expect(tool.status == 0)
      let document = try tool.json()
      #expect(document["steps"] as? Int == 2)
      let adapter = try bench.read("run/adapter/adapter_config.json")
      #expect(adapter.count > 100)
    }
  }

  @Test("an error for a stderr that is gone keeps its status", arguments: ["2>&-", "2>/dev/full"])
  func lostError(_ redirection: String) throws {
    try shell("reft model info none.gguf \(redirection)") { _, tool in
      #expect(tool.status == 66)
      #expect(tool.output.isEmpty && tool.errors.isEmpty)
    }
  }

  @Test("the worker started by hand says so where it can", arguments: ["2>/dev/full", "2>&-"])
  func worker(_ redirection: String) throws {
    try shell("\"\(Tool.products)/reft-plugin-worker\" \(redirection)") { _, tool in
      #expect(tool.status == 64)
    }
  }

  @Test("a generated text goes to files as it is, and to a terminal with its controls escaped")
  func generatedText() throws {
    try withTemporaryDirectory { folder in
      try Workbench(folder: folder).writeRun()
      // Random weights draw control characters soon.
      let call = [
        "generate", "--model", "tiny.gguf", "--prompt", "one", "--temperature", "2",
        "--max-tokens", "200", "--seed", "4",
      ]
      let document = try Tool.reft(call + ["--json"], folder: folder).json()
      let text = try #require(document["text"] as? String)
      func steers(_ text: String) -> Bool {
        text.unicodeScalars.contains { $0.value < 0x20 && !"\r\n\t".unicodeScalars.contains($0) }
      }
      try #require(steers(text))
      let file = try Tool.reft(call, folder: folder)
      #expect(file.text == text + "\n")
      let shown = try Tool.terminal(call, folder: folder).text
      #expect(!steers(shown) && shown.contains("\\u00"), "\(shown)")
    }
  }

  @Test("names from files are escaped in tables and errors")
  func names() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      var file = TinyModel().writer()
      file.remove("general.name")
      file.set("general.name", .string("red\u{1b}[31m\u{202e}\nx"))
      try file.write(to: bench.path("m.gguf"))
      let table = try Tool.reft(["model", "info", "m.gguf"], folder: folder)
      #expect(table.text.contains("name          red\\u001b[31m\\u202e\\nx\n"), "\(table.text)")
      let document = try Tool.reft(["adapter", "info", "a\u{1b}]0;x\u{7}"], folder: folder)
      #expect(document.status == 66)
      #expect(document.errors.hasPrefix("error: 'a\\u001b]0;x\\u0007' is no adapter"))
      #expect(!document.errors.utf8.contains(0x1b))
    }
  }

  @Test("a reader that went away ends the command quietly")
  func goneReader() throws {
    try shell(
      "reft plugin check --list-rules | true; echo ${PIPESTATUS[0]}"
    ) { _, tool in
      // The reader may be slower than the writer; then nothing is lost.
      #expect(["0\n", "74\n"].contains(tool.text))
      #expect(tool.errors.isEmpty)
    }
    try shell(
      "yes 'one two' | head -c 400000 > t; "
        + "reft tokenize --model tiny.gguf < t | head -1; echo ${PIPESTATUS[0]}"
    ) { _, tool in
      #expect(tool.text.split(separator: "\n").last == "74")
      #expect(tool.errors.isEmpty)
    }
  }

  @Test(
    "standard input that cannot be read is an error",
    arguments: [("<&-", "Bad file descriptor"), ("< .", "Is a directory")]
  )
  func badInput(_ redirection: String, _ reason: String) throws {
    try shell("reft tokenize --model tiny.gguf \(redirection)") { _, tool in
      #expect(tool.status == 74)
      #expect(
        tool.errors == "error: cannot read standard input: \(reason); redirect a file to it, or "
          + "give the text as an option\n"
      )
    }
  }

  @Test("a limit on the size of files is a failed write, and what was there stays")
  func fileSizeLimit() throws {
    let plugin = (BuiltPlugins.folder ?? ".") + "/libLoReFT.so"
    let size = try FileManager.default.attributesOfItem(atPath: plugin)[.size] as? Int ?? 0
    try shell(
      // Enough for the plugin's sealed copy, and too little for the moments of rank 64 at both ends.
      "reft train run.yaml --json > first && ulimit -f \(size / 1024 + 20) && "
        + "reft train run.yaml --output other --set interventions.0.options.rank=64 "
        + "--set interventions.0.share_weights=false"
    ) { bench, tool in
      #expect(tool.status == 74)
      #expect(tool.errors.contains("File too large"), "\(tool.errors)")
      #expect(tool.errors.contains("raise the limit on the size of files (`ulimit -f`)"))
      let tensors = try bench.read("run/adapter/adapter_model.safetensors")
      #expect(tensors.count > 1000)
    }
  }

  @Test(
    "a variable with a value that does not exist is an error",
    arguments: [
      (
        "REFT_KERNELS=bogus",
        "REFT_KERNELS is 'bogus'; expected 'ref' (portable kernels), 'avx2' (no AVX-512) or 'avx512' (no AMX), or none "
          + "for the best kernels of this processor"
      ),
      (
        "REFT_THREADS=0",
        "REFT_THREADS is '0'; expected a whole number from 1 to 256, or none for one thread per "
          + "processor"
      ),
      (
        "REFT_THREADS=9223372036854775808",
        "REFT_THREADS is '9223372036854775808'; expected a whole number from 1 to 256, or none for "
          + "one thread per processor"
      ),
    ]
  )
  func variables(_ setting: String, _ message: String) throws {
    try shell("export \(setting); reft score --model tiny.gguf --data rows.jsonl") { _, tool in
      #expect(tool.status == 78)
      #expect(tool.errors == "error: the environment variable \(message)\n")
    }
  }
}
