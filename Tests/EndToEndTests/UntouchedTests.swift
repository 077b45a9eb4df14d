// SPDX-License-Identifier: Apache-2.0
// Prompts and rows that an adapter's positions leave alone are told, and change nothing else.

import Foundation
import Testing
import _ReFTTestSupport

@Suite("Rows without an edit")
struct UntouchedTests {
  @Test("are told by generate and by score, with their number and the first")
  func told() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun(
        rows: """
          {"prompt": "one two three", "completion": " four"}
          {"prompt": "a", "completion": " four"}

          """
      )
      try bench.writeAdapter()
      let model = ["--model", bench.path("tiny.gguf"), "--adapter", bench.path("adapter")]
      let generated = try Tool.reft(
        ["generate", "--input", bench.path("rows.jsonl"), "--max-tokens", "2", "--json"] + model
      )
      #expect(generated.status == 0)
      #expect(
        generated.errors.contains(
          "warning: positions 'f1+l1' of the adapter edit no token of 1 of 2 prompts; the first, "
            + "prompt 1, has 1 tokens"
        ),
        "\(generated.errors)"
      )
      let scored = try Tool.reft(["score", "--data", bench.path("rows.jsonl"), "--json"] + model)
      #expect(scored.status == 0)
      #expect(
        scored.errors.contains(
          "rows.jsonl:2: 1 of 2 rows have no token that positions 'f1+l1' edit, this one the first: "
            + "its prompt has 1 token"
        ),
        "\(scored.errors)"
      )
      #expect((try scored.json()["rows"] as? [Any])?.count == 2)
    }
  }
}
