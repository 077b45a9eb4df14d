// SPDX-License-Identifier: Apache-2.0
// Position rules: what they read, what they refuse, which tokens they select.

import Foundation
import ReFTHost
import ReFTTensor
import Testing

/// A tokenizer whose tokens are given.
private struct WordTokens: TokenText {
  var words: [String]
  func bytes(of id: Int32) -> [UInt8] { Array(words[Int(id)].utf8) }
}

struct RowCase: Sendable, CustomTestStringConvertible {
  var rule: String
  var length: Int
  var expected: [Int]
  var testDescription: String { "\(rule) over \(length) tokens" }
}

@Suite("Position rules")
struct PositionRuleTests {
  @Test(
    "select tokens, each end clipped to half the prompt as pyreft does",
    arguments: [
      RowCase(rule: "f3+l3", length: 12, expected: [0, 1, 2, 9, 10, 11]),
      RowCase(rule: "f3+l3", length: 5, expected: [0, 1, 3, 4]),
      RowCase(rule: "f3+l3", length: 2, expected: [0, 1]),
      RowCase(rule: "f3+l3", length: 1, expected: []),
      RowCase(rule: "f7+l7", length: 0, expected: []),
      RowCase(rule: "f3", length: 4, expected: [0, 1]),
      RowCase(rule: "l1", length: 9, expected: [8]),
      RowCase(rule: "l1", length: 1, expected: []),
      RowCase(rule: "f2+l5", length: 8, expected: [0, 1, 4, 5, 6, 7]),
      RowCase(rule: "all", length: 3, expected: [0, 1, 2]),
      RowCase(rule: "every:4", length: 9, expected: [0, 4, 8]),
      RowCase(rule: "every:1", length: 2, expected: [0, 1]),
      RowCase(rule: "[0,5,-1]", length: 7, expected: [0, 5, 6]),
      RowCase(rule: "[-1,0]", length: 1, expected: [0]),
      RowCase(rule: "none+decode", length: 4, expected: []),
    ]
  )
  func select(_ example: RowCase) throws {
    let rows = try PositionRule(example.rule).rows(promptLength: example.length)
    #expect(rows.map(\.position) == example.expected)
  }

  @Test("name the location of a token whatever the prompt's length")
  func locations() throws {
    let rule = try PositionRule("f3+l3")
    #expect(try rule.rows(promptLength: 12).map(\.location) == [0, 1, 2, 3, 4, 5])
    let short = try rule.rows(promptLength: 5)
    #expect(short.map(\.location) == [0, 1, 4, 5])
    #expect(short.map(\.group) == [.prefix, .prefix, .suffix, .suffix])
  }

  @Test("select what follows a text, from the first token that begins after it")
  func after() throws {
    let tokens = WordTokens(words: ["a ", "### ", "In", "put:\n", "x", " y"])
    let rule = try PositionRule("after:\"### Input:\"")
    let rows = try rule.rows(promptLength: 6, tokens: [0, 1, 2, 3, 4, 5], tokenizer: tokens)
    #expect(rows.map(\.position) == [4, 5])
    let end = try rule.rows(promptLength: 4, tokens: [0, 1, 2, 3], tokenizer: tokens)
    #expect(end.isEmpty)
    #expect(throws: ReFTError.self) {
      try rule.rows(promptLength: 2, tokens: [0, 4], tokenizer: tokens)
    }
    #expect(throws: ReFTError.self) { try rule.rows(promptLength: 2, tokens: [0, 4]) }
  }

  @Test("refuse an index that the prompt does not have, with the range")
  func outside() throws {
    let error = #expect(throws: ReFTError.self) {
      try PositionRule("[0,5]").rows(promptLength: 5)
    }
    #expect(error?.code == .usage)
    #expect(error?.message.contains("token 5, but the prompt has 5 tokens") == true)
  }

  @Test(
    "read back what they write",
    arguments: [
      "f7+l7", "f3", "l1", "all", "every:4", "[0,5,-1]", "after:\"### Input:\"", "none+decode",
      "f7+l7+decode", #"after:"say \"hi\"\n\t\\"+decode"#, "all+decode",
    ]
  )
  func roundTrip(_ text: String) throws {
    let rule = try PositionRule(text)
    #expect(rule.description == text)
    #expect(rule.editsDecodedTokens == text.hasSuffix("+decode"))
    let data = try JSONEncoder().encode([rule])
    #expect(try JSONDecoder().decode([PositionRule].self, from: data) == [rule])
  }

  @Test(
    "refuse every other text with the forms that exist",
    arguments: [
      "", "f", "l", "f0", "f-1", "l1+f1", "f1+l1+f1", "f1+", "x3", "every:", "every:0", "every:x",
      "[", "[]", "[1,1]", "[1,x]", "after:x", #"after:""#, #"after:"""#, #"after:"a"b""#,
      #"after:"\q""#, "f99999999999999999999", "f3000000000", "+decode", "f１",
    ]
  )
  func refuse(_ text: String) throws {
    let error = #expect(throws: ReFTError.self) { try PositionRule(text) }
    #expect(error?.code == .badConfiguration)
    #expect(error?.message.contains("the forms are f7+l7") == true)
  }

  @Test("are two-ended only with both ends")
  func twoEnded() throws {
    #expect(try PositionRule("f1+l1").isTwoEnded)
    #expect(try !PositionRule("f1").isTwoEnded)
    #expect(try !PositionRule("all").isTwoEnded)
  }
}
