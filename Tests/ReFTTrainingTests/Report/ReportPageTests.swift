// SPDX-License-Identifier: Apache-2.0
// The page over runs: what it tells, and that it stands alone.

import Foundation
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("Reports")
struct ReportPageTests {
  private func html(_ run: TinyRun, _ folders: [String]) throws -> String {
    let collection = try RunCollection(folders: folders.map { run.folder + "/" + $0 })
    var page = ReportPage(title: "a <page>", runs: collection.runs)
    page.results = collection.results
    return page.html()
  }

  @Test("compare runs: a curve for each, and of the configuration what differs alone")
  func compared() throws {
    try withTinyRun { run in
      let validated = ["data.validation=held.jsonl"]
      try run.train("one", validated)
      try run.train("two", validated + ["interventions.0.options.rank=4", "train.seed=7"])
      let html = try html(run, ["one", "two"])
      let start = try #require(html.range(of: "<h2>Configuration, where it differs</h2>"))
      let differences = html[start.upperBound...].prefix { $0 != "\n" }
      for text in ["interventions.0.options.rank</td><td>2</td><td>4", "train.seed</td><td>42"] {
        #expect(differences.contains(text), "\(differences)")
      }
      #expect(!differences.contains("learning_rate") && !differences.contains("output"))
      let charts = html.components(separatedBy: "<figure>")
      let loss = try #require(charts.first { $0.contains("<h3>Training loss") })
      #expect(loss.components(separatedBy: "<polyline").count == 3)
      #expect(html.contains("<td>training</td><td>rows.jsonl</td><td>12</td>"))
      #expect(html.contains("a &lt;page&gt;") && !html.contains("<page>"))
      #expect(!html.contains("<script") && !html.contains("http"))
    }
  }

  @Test("leave out columns that no run fills")
  func bareColumns() throws {
    try withTinyRun { run in
      try run.train("one")
      try run.train("two", ["train.seed=7"])
      #expect(!(try html(run, ["one", "two"])).contains("<th>best step</th>"))
      try run.train("three", ["data.validation=held.jsonl"])
      #expect(try html(run, ["one", "three"]).contains("<th>best step</th>"))
    }
  }

  @Test("of an unfinished run tell how far it is")
  func unfinished() throws {
    try withTinyRun { run in
      #expect(throws: (any Error).self) { try run.train("half", endingAt: 4) }
      let html = try html(run, ["half"])
      #expect(html.contains("stopped, step 4 of 6"))
    }
  }

  @Test("give runs of equal names what tells them apart, and refuse folders that hold none")
  func named() throws {
    try withTinyRun { run in
      try run.train("a/run")
      try run.train("b/run")
      let folders = ["a/run", "b/run"].map { run.folder + "/" + $0 }
      #expect(try RunCollection(folders: folders).runs.map(\.name) == ["a/run", "b/run"])
      let error = #expect(throws: ReFTError.self) { try RunCollection(folders: [run.folder]) }
      #expect(error?.code == .inputMissing)
    }
  }

  @Test("show Wilson's interval of a part: 8 of 10 lie between 0.4902 and 0.9433")
  func wilson() throws {
    let interval = Interval(part: 0.8, of: 10)
    let (low, high) = (try #require(interval.lower), try #require(interval.upper))
    #expect(abs(low - 0.49016) < 1e-5 && abs(high - 0.94330) < 1e-4)
    let none = Interval(part: 0, of: 20)
    let (zero, rest) = (try #require(none.lower), try #require(none.upper))
    #expect(abs(zero) < 1e-12 && abs(rest - 0.1611) < 1e-4)
  }

  @Test("replace reports alone")
  func marked() throws {
    try withTinyRun { run in
      try run.train("one")
      #expect(ReportPage.isReport(run.folder + "/one/report.html"))
      #expect(!ReportPage.isReport(run.folder + "/one/config.yaml"))
    }
  }
}
