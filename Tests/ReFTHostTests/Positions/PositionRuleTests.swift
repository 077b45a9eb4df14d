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
      RowCase(rule: "decode", length: 4, expected: []),
      RowCase(rule: "[2:5]", length: 9, expected: [2, 3, 4]),
      RowCase(rule: "[2:5]", length: 4, expected: [2, 3]),
      RowCase(rule: "[2:]", length: 4, expected: [2, 3]),
      RowCase(rule: "[:3]", length: 2, expected: [0, 1]),
      RowCase(rule: "[-5:]", length: 7, expected: [2, 3, 4, 5, 6]),
      RowCase(rule: "[-5:-3]", length: 4, expected: [0]),
      RowCase(rule: "[1:-1]", length: 4, expected: [1, 2]),
      RowCase(rule: "[-1]+[0]+f2", length: 6, expected: [5, 0, 1]),
      RowCase(rule: "f2*0.5+l1", length: 6, expected: [0, 1, 5]),
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

  @Test("number the locations of ranges from their own end, and go on from part to part")
  func rangeLocations() throws {
    func locations(_ rule: String, _ length: Int) throws -> [Int] {
      try PositionRule(rule).rows(promptLength: length).map(\.location)
    }
    #expect(try locations("[-3:]", 5) == [0, 1, 2])
    #expect(try locations("[-3:]", 2) == [1, 2])
    #expect(try locations("[2:5]+[-1]", 4) == [0, 1])
    #expect(try locations("[2:5]+[-1]", 9) == [0, 1, 2, 3])
    #expect(try locations("f2*0.5+l2", 8) == locations("f2+l2", 8))
    for (rule, count) in [("f3+l2", 5), ("[2:5]+[-1]", 4), ("[:3]", 3), ("[-4:-1]", 3)] {
      #expect(try PositionRule(rule).locationCount == count)
    }
    for rule in ["all", "every:2", "[1:-1]", "[2:]", "random:2", "tokens:1", "f1+all"] {
      #expect(try PositionRule(rule).locationCount == 0)
    }
  }

  @Test("let as much of a change count as the first part that names a token says")
  func weights() throws {
    let rule = try PositionRule("l1*2+all*-0.5+decode*0.25")
    let rows = try rule.rows(promptLength: 4)
    #expect(rows.map(\.position) == [3, 0, 1, 2])
    #expect(rows.map(\.weight) == [2, -0.5, -0.5, -0.5])
    #expect(rule.decodeWeight == 0.25 && rule.editsDecodedTokens)
    #expect(rule.selection == nil)
    #expect(rule.groups == [.suffix, .all] && !rule.isTwoEnded)
  }

  @Test("select tokens by text or id, and none where the prompt has none")
  func tokens() throws {
    let words = WordTokens(words: ["a", " the", " man", " the", "|"])
    func positions(_ rule: String) throws -> [Int] {
      try PositionRule(rule).rows(
        promptLength: 5,
        tokens: [0, 1, 2, 3, 4],
        tokenizer: words
      ).map(\.position)
    }
    #expect(try positions(#"tokens:" the""#) == [1, 3])
    #expect(try positions(#"tokens:" the"|0|"|""#) == [0, 1, 3, 4])
    #expect(try positions("tokens:7").isEmpty)
    #expect(try PositionRule("tokens:7").looksForTokens)
    #expect(throws: ReFTError.self) { try PositionRule("tokens:7").rows(promptLength: 5) }
  }

  @Test("draw the same tokens for the same prompt and seed, and others else")
  func random() throws {
    let ids = (0..<40).map { Int32($0) }
    func draw(_ rule: String, _ ids: [Int32]) throws -> [Int] {
      try PositionRule(rule).rows(promptLength: ids.count, tokens: ids[...]).map(\.position)
    }
    let drawn = try draw("random:5", ids)
    #expect(drawn.count == 5 && drawn == drawn.sorted())
    #expect(try draw("random:5", ids) == drawn)
    #expect(try draw("random:5@1", ids) != drawn)
    #expect(try draw("random:5", ids.map { $0 + 1 }) != drawn)
    #expect(try draw("random:5", [1, 2, 3]) == [0, 1, 2])
    #expect(throws: ReFTError.self) { try PositionRule("random:5").rows(promptLength: 9) }
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
      "f7+l7", "f3", "l1", "all", "every:4", "[0,5,-1]", "after:\"### Input:\"", "none", "decode",
      "[2:10]", "[-5:]", "[:3]", #"tokens:" the"|262|"|\"+""#, "random:3", "random:3@17",
      "f3*0.5+l1", "f3*-2+l1*0.1+[5]+decode*0.5", "every:2+l1", "all+decode",
      "f7+l7+decode", #"after:"say \"hi\"\n\t\\"+decode"#, "all+decode",
    ]
  )
  func roundTrip(_ text: String) throws {
    let rule = try PositionRule(text)
    #expect(rule.description == text)
    #expect(rule.editsDecodedTokens == text.contains("decode"))
    #expect(try PositionRule("none+decode") == PositionRule("decode"))
    let data = try JSONEncoder().encode([rule])
    #expect(try JSONDecoder().decode([PositionRule].self, from: data) == [rule])
  }

  @Test(
    "refuse every other text with the forms that exist",
    arguments: [
      "", "f", "l", "f0", "f-1", "l1+f1", "f1+l1+f1", "f1+", "x3", "every:", "every:0", "every:x",
      "[", "[]", "[1,1]", "[1,x]", "after:x", #"after:""#, #"after:"""#, #"after:"a"b""#,
      #"after:"\q""#, "f99999999999999999999", "f3000000000", "+decode", "f１", "all+all",
      "all+none", "decode+f1", "decode+decode", "[5:2]", "[:]", "[:0]", "[1:2:3]", "[0,2:4]",
      "f1*0", "f1*nan", "f1*2*3", "random:0", "random:2@-1", "tokens:", "tokens:x",
      #"tokens:"a"|"a""#, "none*2",
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
