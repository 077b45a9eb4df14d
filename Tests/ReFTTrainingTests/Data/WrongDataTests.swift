// SPDX-License-Identifier: Apache-2.0
// Data files that are no data: file, line, what was found, what was expected.

import Foundation
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

struct WrongDataTests {
  struct Mistake: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let content: [UInt8]
    let message: String

    init(_ id: String, _ content: String, _ message: String) {
      self.init(id, Array(content.utf8), message)
    }

    init(_ id: String, _ content: [UInt8], _ message: String) {
      testDescription = id
      self.content = content
      self.message = message
    }
  }

  private static let json = "expected one JSON object per line, or a JSON list of them"
  private static let formats =
    #"{"prompt","completion"}, {"instruction","input","output"}, {"messages"}, {"text"}, "#
    + #"{"question","answer"} or {"ids","labels"}"#
  private static let good = #"{"prompt":"a","completion":"b"}"# + "\n"

  static let mistakes = [
    Mistake("empty", "", "1: no rows; \(json)"),
    Mistake("white", " \n\n", "1: no rows; \(json)"),
    Mistake("empty list", " [ ]", "1: no rows; \(json)"),
    Mistake(
      "plain text",
      good + "hello\n",
      "2: not JSON: expected a JSON value, found 'h'; \(json)"
    ),
    Mistake(
      "broken row",
      good + #"{"prompt":"a""#,
      "2: not JSON: expected ',' or '}', found the end of the text; \(json)"
    ),
    Mistake(
      "two rows in a line",
      #"{"text":"a"} {"text":"b"}"#,
      "1: not JSON: found '{' after the row's end; \(json)"
    ),
    Mistake(
      "open list",
      "[\n" + #"{"text":"ab"}"# + "\n",
      "3: not JSON: expected ',' or ']' after a row, found the end of the text; \(json)"
    ),
    Mistake(
      "after the list",
      #"[{"text":"ab"}]"# + "\nx",
      "2: not JSON: found 'x' after the list's end; \(json)"
    ),
    Mistake(
      "open text",
      #"{"text":"ab"#,
      "1: not JSON: a text without its closing quote; \(json)"
    ),
    Mistake(
      "bad escape",
      #"{"text":"\x"}"#,
      "1: not JSON: expected an escape such as \\n after '\\', found 'x'; \(json)"
    ),
    Mistake(
      "half a surrogate pair",
      #"{"text":"\ud83d"}"#,
      "1: not JSON: \\ud83d is half of a surrogate pair; \(json)"
    ),
    Mistake(
      "tab in a text",
      "{\"text\":\"a\tb\"}",
      "1: not JSON: an unescaped control character 0x9 in a text; \(json)"
    ),
    Mistake(
      "key twice",
      #"{"text":"a","text":"b"}"#,
      "1: not JSON: key \"text\" stands twice in one object; \(json)"
    ),
    Mistake(
      "number",
      #"{"ids":[01],"labels":[1]}"#,
      "1: not JSON: '01' is no JSON number; \(json)"
    ),
    Mistake(
      "deep",
      String(repeating: "[", count: 100),
      "1: not JSON: lists and objects nested deeper than 64; \(json)"
    ),
    Mistake(
      "not UTF-8",
      Array(good.utf8) + Array("{\"text\":\"".utf8) + [0xFF, 0xFE] + Array("\"}".utf8),
      "2: bytes that are not UTF-8; save the file as UTF-8 text"
    ),
    Mistake(
      "a list as a row",
      "[[1]]",
      "1: expected an object such as {\"prompt\":…}, found a list"
    ),
    Mistake(
      "foreign keys",
      #"{"promt":"a","completion":"b"}"#,
      "1: expected \(formats), found the keys \"promt\", \"completion\""
    ),
    Mistake(
      "number for a text",
      #"{"prompt":1,"completion":"b"}"#,
      "1: \"prompt\" must be a text, found a number"
    ),
    Mistake("empty running text", #"{"text":""}"#, "1: \"text\" is empty; remove the row"),
    Mistake(
      "unequal ids and labels",
      #"{"ids":[1,2],"labels":[1]}"#,
      "1: 2 ids and 1 labels; expected as many of both, at least one"
    ),
    Mistake(
      "fraction as id",
      #"{"ids":[1.5],"labels":[1]}"#,
      "1: item 0 of \"ids\" must be a whole number, found a number"
    ),
    Mistake(
      "foreign id",
      #"{"ids":[1,999],"labels":[1,1]}"#,
      "1: \"ids\" holds 999, which is no token of this model; expected 0 to 257"
    ),
    Mistake(
      "foreign label",
      #"{"ids":[1,2],"labels":[-1,1]}"#,
      "1: \"labels\" holds -1, which is no token of this model; expected 0 to 257, or -100 for no label"
    ),
    Mistake(
      "classifier row",
      #"{"ids":[1,2],"label":1}"#,
      "1: \"label\" is of a classifier, and this model generates; use {\"ids\",\"labels\"}"
    ),
    Mistake(
      "messages without an answer",
      #"{"messages":[{"role":"user","content":"u"}]}"#,
      "1: the last message is of \"user\"; a row to learn from ends with the assistant's answer"
    ),
    Mistake(
      "message without content",
      #"{"messages":[{"role":"assistant"}]}"#,
      "1, message 0: \"content\" must be a text, found nothing"
    ),
    Mistake(
      "long conversation without chat template",
      #"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"assistant","content":"a"}]}"#,
      "1: a conversation of several messages fits no template 'none'; set 'data.template: chat'"
    ),
  ]

  @Test("says where, what was found, and what was expected", arguments: mistakes)
  func names(mistake: Mistake) throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/rows.jsonl"
      try Data(mistake.content).write(to: URL(fileURLWithPath: path))
      let error = #expect(throws: ReFTError.self) {
        try DataSet(path: path, coder: ByteCoder(), chatTemplate: nil)
      }
      #expect(error?.code == .badData)
      #expect(error?.message == "\(path):\(mistake.message)")
    }
  }

  @Test("says that a file is missing")
  func missing() {
    let error = #expect(throws: ReFTError.self) {
      try DataSet(path: "/nowhere/rows.jsonl", coder: ByteCoder(), chatTemplate: nil)
    }
    #expect(error?.code == .inputMissing)
    #expect(error?.message.contains("/nowhere/rows.jsonl") == true)
  }

  static let templates = [
    (
      "{instruction",
      "a lone '{' in the template '{instruction'; write it twice to mean the character"
    ),
    (
      "{question}",
      "unknown field {question} in the template '{question}'; expected {instruction}, {input} or {output}"
    ),
    (
      "{output} {input}",
      "{input} follows {output} in the template '{output} {input}'; the output must be the last field"
    ),
    ("{input}", "the template '{input}' lacks {instruction}, so all prompts would be equal"),
  ]

  @Test("refuses templates that cannot work", arguments: templates)
  func refuses(template: String, message: String) {
    let error = #expect(throws: ReFTError.self) { try Template(template) }
    #expect(error?.code == .badConfiguration)
    #expect(error?.message == message)
  }
}
