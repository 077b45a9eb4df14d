// SPDX-License-Identifier: Apache-2.0
// `reft sweep` and `reft report` as processes: what they print, where they write, how they end.

import Foundation
import Testing
import _ReFTTestSupport

@Suite("Sweeps and reports at the command line")
struct SweepTests {
  @Test("list their runs, train them, and make one page")
  func whole() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      try bench.write(
        "base: run.yaml\ngrid: {interventions.0.options.rank: [1, 2]}\nseeds: [1, 2]\n",
        to: "sweep.yaml"
      )
      let sweep = ["sweep", bench.path("sweep.yaml")]
      let dry = try Tool.reft(sweep + ["--dry-run"])
      #expect(dry.status == 0)
      #expect(dry.text.hasSuffix("4 runs in \(bench.path("sweeps/sweep")), 4 of them to do\n"))

      let run = try Tool.reft(sweep + ["--json"])
      #expect(run.status == 0, "\(run.errors)")
      let document = try run.json()
      let rows = try #require(document["table"] as? [[String: Any]])
      #expect(rows.map { $0["finished"] as? Int } == [2, 2])
      #expect(document["shared_activations"] as? Int == 3)

      let report = try Tool.reft(["report", bench.path("sweeps/sweep"), "--prompts", "2", "--json"])
      #expect(report.status == 0, "\(report.errors)")
      #expect(try report.json()["replies"] as? Int == 2)
      let page = String(decoding: try bench.read("sweeps/sweep/report.html"), as: UTF8.self)
      #expect(page.contains("<h2>Settings</h2>") && page.contains("<h2>Replies</h2>"))
    }
  }

  @Test("train nothing where a run cannot begin, and tell later failures by the exit code")
  func failures() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let grid = "grid: {interventions.0.layers: [[0], [9]]}\n"
      try bench.write("base: run.yaml\n" + grid, to: "bad.yaml")
      for more in [["--dry-run"], []] {
        let bad = try Tool.reft(["sweep", bench.path("bad.yaml")] + more)
        #expect(bad.status == 78)
        let text = "error: the run 'layers=_9_"
        #expect(bad.errors.contains(text) && bad.errors.contains("cannot begin, so none does: "))
        #expect(bad.errors.contains("'layers' names block 9"), "\(bad.errors)")
        #expect(!FileManager.default.fileExists(atPath: bench.path("sweeps")))
      }
      // No run has a head, which is found out when the first is asked.
      try bench.write(
        """
        task: t
        data: {file: rows.jsonl}
        class: {text: "{prompt}", label: "{completion}"}
        """,
        to: "heads.yaml"
      )
      try bench.write("base: run.yaml\nseeds: [1, 2]\neval: [heads.yaml]\n", to: "late.yaml")
      let late = try Tool.reft(["sweep", bench.path("late.yaml")])
      #expect(late.status == 64)
      let text = "error: 2 of 2 runs failed; the first, seed=1"
      #expect(late.errors.contains(text), "\(late.errors)")
      try bench.write("base: run.yaml\neval: [heads.yaml, heads.yaml]\n", to: "twice.yaml")
      let twice = try Tool.reft(["sweep", bench.path("twice.yaml"), "--dry-run"])
      #expect(twice.status == 78 && twice.errors.contains("'eval' names the task 't' twice"))
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
