// SPDX-License-Identifier: Apache-2.0
// `reft sweep` and `reft report` as processes: what they print, where they write, how they end.

import Foundation
import Testing
import _ReFTTestSupport

@Suite("Sweeps and reports at the command line")
struct SweepTests {
  @Test("list their runs, train them, tell failures by the exit code, and make one page")
  func whole() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      try bench.write(
        "base: run.yaml\ngrid: {interventions.0.layers: [[0], [9]]}\nseeds: [1, 2]\n",
        to: "sweep.yaml"
      )
      let sweep = ["sweep", bench.path("sweep.yaml")]
      let dry = try Tool.reft(sweep + ["--dry-run"])
      #expect(dry.status == 0)
      #expect(dry.text.hasSuffix("4 runs in \(bench.path("sweeps/sweep")), 4 of them to do\n"))

      let run = try Tool.reft(sweep + ["--json"])
      #expect(run.status == 78)
      #expect(run.errors.contains("error: 2 of 4 runs failed; the first, layers=_9_"))
      let document = try run.json()
      let rows = try #require(document["table"] as? [[String: Any]])
      #expect(rows.map { $0["finished"] as? Int } == [2, 0])
      #expect(document["shared_activations"] as? Int == 1)

      let report = try Tool.reft(["report", bench.path("sweeps/sweep"), "--prompts", "2", "--json"])
      #expect(report.status == 0, "\(report.errors)")
      #expect(report.errors.contains("note: 2 of the 4 runs of"))
      #expect(try report.json()["replies"] as? Int == 2)
      let page = String(decoding: try bench.read("sweeps/sweep/report.html"), as: UTF8.self)
      #expect(page.contains("<h2>Settings</h2>") && page.contains("<h2>Replies</h2>"))
    }
  }

  @Test("write no page over what is none, nor over nothing")
  func refused() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      #expect(try Tool.reft(["report", folder]).status == 66)
      #expect(try Tool.reft(["train", bench.path("run.yaml")]).status == 0)
      let kept = try bench.read("rows.jsonl")
      let words = ["report", bench.path("run"), "--output", bench.path("rows.jsonl")]
      let report = try Tool.reft(words)
      #expect(report.status == 64 && report.errors.contains("is there and no report"))
      #expect(try bench.read("rows.jsonl") == kept)
    }
  }
}
