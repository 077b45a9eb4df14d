// SPDX-License-Identifier: Apache-2.0
// docs/abi.md lists the rules as the code has them.

import Foundation
import ReFTConformance
import Testing

@Suite("The law's document")
struct LawDocumentTests {
  @Test("docs/abi.md has exactly the rules that the checker runs")
  func table() throws {
    let path = Kit.repository + "/docs/abi.md"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let begin = "<!-- rules: written by the test of this document, REFT_RECORD=1 -->\n\n"
    let end = "<!-- end of rules -->"
    let head = try #require(text.range(of: begin))
    let tail = try #require(text.range(of: end))
    let found = String(text[head.upperBound..<tail.lowerBound])
    if ProcessInfo.processInfo.environment["REFT_RECORD"] == "1" {
      let renewed = text.replacingCharacters(
        in: head.upperBound..<tail.lowerBound,
        with: Rule.markdownTable
      )
      try Data(renewed.utf8).write(to: URL(fileURLWithPath: path))
      return
    }
    #expect(
      found == Rule.markdownTable,
      "run REFT_RECORD=1 swift test --filter LawDocumentTests and look at the difference"
    )
  }
}
