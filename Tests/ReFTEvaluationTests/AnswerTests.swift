// SPDX-License-Identifier: Apache-2.0
// What of a reply is the answer, and when it is right.

import ReFTEvaluation
import ReFTTensor
import ReFTText
import Testing

@Suite("What counts as the right answer")
struct AnswerTests {
  struct Case: CustomTestStringConvertible {
    var rule: Normaliser
    var answer: String
    var truth: String
    var isRight: Bool
    var testDescription: String { "'\(answer)' for '\(truth)'" }
  }

  private static let cases: [Case] = [
    Case(rule: .exact, answer: " answer1\n", truth: "answer1", isRight: true),
    Case(rule: .exact, answer: "Answer1", truth: "answer1", isRight: false),
    Case(rule: .text, answer: "True.", truth: "true", isRight: true),
    Case(rule: .number, answer: "so 1,234.0 in all.", truth: "1234", isRight: true),
    Case(rule: .number, answer: "first 3, then -5", truth: "#### -5", isRight: true),
    Case(rule: .number, answer: "5", truth: "-5", isRight: false),
    Case(rule: .number, answer: "no number", truth: "1", isRight: false),
    Case(rule: .number, answer: "2.0009", truth: "2", isRight: true),
    Case(rule: .letter(last: "E"), answer: "The answer is (C).", truth: "C", isRight: true),
    Case(rule: .letter(last: "E"), answer: "Both A and B", truth: "B", isRight: false),
    Case(rule: .letter(last: "E"), answer: "none", truth: "B", isRight: false),
  ]

  @Test("numbers, letters and texts are compared as their rule says", arguments: cases)
  func comparison(_ example: Case) throws {
    #expect(try example.rule.agree(example.answer, example.truth) == example.isRight)
  }

  @Test("an answer is what follows the last trigger, and nothing without one")
  func trigger() throws {
    let extraction = Extraction(steps: [
      .after("is "), .match(try RegularExpression("(true|false)"), place: 0, otherwise: ""),
    ])
    #expect(try extraction.answer(in: "it is false, no, it is true") == "true")
    #expect(try extraction.answer(in: "true") == "")
  }

  @Test(
    "the last match, its first group that took something, is taken as Python's findall gives it"
  )
  func flexible() throws {
    let pattern = try RegularExpression(#"(-?[$0-9.,]{2,})|(-?[0-9]+)"#)
    let extraction = Extraction(steps: [.match(pattern, place: -1, otherwise: "[invalid]")])
    #expect(try extraction.answer(in: "5 and 6 are 11 , so 7") == "7")
    #expect(try extraction.answer(in: "costs $1,200") == "$1,200")
    #expect(try extraction.answer(in: "none") == "[invalid]")
  }
}
