// SPDX-License-Identifier: Apache-2.0
// The help of every command, as it stands in Tests/Fixtures/help. To renew the files after a change:
// REFT_RECORD=1 swift test -c release --filter HelpTests

import Foundation
import Testing
import _ReFTTestSupport

@Suite("Help")
struct HelpTests {
  static let commands: [[String]] = [
    [], ["model"], ["model", "info"], ["model", "pull"], ["model", "list"],
    ["model", "quantize"], ["tokenize"], ["score"], ["embed"], ["generate"],
    ["chat"], ["train"], ["sweep"], ["report"], ["recipe"], ["recipe", "list"], ["recipe", "show"],
    ["recipe", "copy"], ["eval"], ["task"], ["task", "list"], ["task", "info"], ["task", "show"],
    ["plugin"], ["plugin", "list"], ["plugin", "info"], ["plugin", "check"],
    ["plugin", "install"], ["plugin", "remove"], ["plugin", "trust"], ["plugin", "new"],
    ["collect"], ["adapter"], ["adapter", "info"], ["adapter", "new"], ["adapter", "import"],
    ["adapter", "export"], ["adapter", "combine"],
    ["steer"], ["steer", "extract"], ["steer", "sweep"], ["bench"],
    ["bench", "train"],
    ["bench", "prefill"], ["bench", "decode"], ["bench", "scaling"], ["bench", "precision"],
    ["bench", "abi"], ["doctor"],
  ]

  @Test("is what was reviewed", arguments: commands)
  func isAsReviewed(_ command: [String]) throws {
    let tool = try Tool.reft(command + ["--help"])
    #expect(tool.status == 0)
    #expect(tool.errors.isEmpty)
    let name = (["reft"] + command).joined(separator: "-")
    let path = Fixture.path("help/\(name).txt")
    if ProcessInfo.processInfo.environment["REFT_RECORD"] == "1" {
      try FileManager.default.createDirectory(
        atPath: Fixture.path("help"),
        withIntermediateDirectories: true
      )
      try tool.output.write(to: URL(fileURLWithPath: path))
      return
    }
    #expect(tool.text == (try String(contentsOfFile: path, encoding: .utf8)))
  }

  @Test("of a command that does something has an example", arguments: commands)
  func hasExample(_ command: [String]) throws {
    let text = try Tool.reft(command + ["--help"]).text
    let isGroup = text.contains("SUBCOMMANDS:")
    let isBenchPart = command.count == 2 && command[0] == "bench"
    #expect(isGroup || isBenchPart || text.contains("EXAMPLES"))
  }

  @Test("names every subcommand, and completion scripts exist for three shells")
  func completes() throws {
    for shell in ["bash", "zsh", "fish"] {
      let tool = try Tool.reft(["--generate-completion-script", shell])
      #expect(tool.status == 0)
      for command in Self.commands.compactMap(\.first) { #expect(tool.text.contains(command)) }
    }
  }
}
