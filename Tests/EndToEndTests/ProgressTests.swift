// SPDX-License-Identifier: Apache-2.0
// The progress line of a run: on a terminal, within its width, and nowhere else.

import Foundation
import Testing
import _ReFTTestSupport

@Suite("Progress line")
struct ProgressTests {
  /// Runs `reft train` on a terminal of a width, and returns what the terminal got.
  private func terminal(columns: Int, term: String = "xterm") throws -> String {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let tool = try Tool.terminal(
        ["train", "run.yaml", "--set", "train.epochs=200"],
        columns: columns,
        term: term,
        folder: folder
      )
      #expect(tool.status == 0, "\(tool.errors)\(tool.text)")
      return tool.text
    }
  }

  /// What stood in the line, one after the other.
  private func lines(_ text: String) -> [String] {
    text.split(separator: "\r").map(String.init).filter { $0.hasPrefix("step ") }
  }

  @Test("shows a bar, the loss, the rate, the memory and the time left")
  func wide() throws {
    let shown = lines(try terminal(columns: 140))
    let pattern =
      /step \d+\/400  \[#*\.*\]  +\d+%  epoch [\d.]+  loss [\d.]+  rate [\d.e-]+  \d+ tokens\/s  [\d.]+ MB  \w+ left */
    let last = try #require(shown.last)
    #expect(last.wholeMatch(of: pattern) != nil, "\(last)")
    #expect(shown.allSatisfy { $0.count <= 139 })
  }

  @Test("fits a narrow terminal, the step and the time left longest", arguments: [60, 40, 24])
  func narrow(_ columns: Int) throws {
    let shown = lines(try terminal(columns: columns))
    let last = try #require(shown.last)
    #expect(shown.allSatisfy { $0.count < columns }, "\(shown)")
    #expect(last.contains("/400") && (columns < 30 || last.contains(" left")), "\(last)")
    #expect(!last.contains("epoch"))
  }

  @Test("is not shown on a terminal that cannot rewrite a line, nor in a file")
  func elsewhere() throws {
    #expect(lines(try terminal(columns: 80, term: "dumb")).isEmpty)
    try withTemporaryDirectory { folder in
      try Workbench(folder: folder).writeRun()
      let tool = try Tool.reft(["train", "run.yaml"], folder: folder)
      #expect(!tool.errors.contains("\r") && !tool.errors.contains("step 1/"))
    }
  }
}
