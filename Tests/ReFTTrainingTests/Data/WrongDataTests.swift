// SPDX-License-Identifier: Apache-2.0
// Data files that are no data: file, line, what was found, what was expected.

import Foundation
import ReFTTensor
import ReFTText
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
      "2:1: not JSON: expected a JSON value, found 'h'; \(json)"
    ),
    Mistake(
      "broken row",
      good + #"{"prompt":"a""#,
      "2:14: not JSON: expected ',' or '}', found the end of the text; \(json)"
    ),
    Mistake(
      "two rows in a line",
      #"{"text":"a"} {"text":"b"}"#,
      "1:14: not JSON: found '{' after the end of the value; \(json)"
    ),
    Mistake(
      "open list",
      "[\n" + #"{"text":"ab"}"# + "\n",
      "3:1: not JSON: expected ',' or ']' after a row, found the end of the text; \(json)"
    ),
    Mistake(
      "after the list",
      #"[{"text":"ab"}]"# + "\nx",
      "2:1: not JSON: found 'x' after the list's end; \(json)"
    ),
    Mistake(
      "open text",
      #"{"text":"ab"#,
      "1:12: not JSON: a text without its closing quote; \(json)"
    ),
    Mistake(
      "bad escape",
      #"{"text":"\x"}"#,
      "1:11: not JSON: expected an escape such as \\n after '\\', found 'x'; \(json)"
    ),
    Mistake(
      "half a surrogate pair",
      #"{"text":"\ud83d"}"#,
      "1:10: not JSON: \\ud83d is half of a surrogate pair; \(json)"
    ),
    Mistake(
      "tab in a text",
      "{\"text\":\"a\tb\"}",
      "1:11: not JSON: an unescaped control character 0x9 in a text; \(json)"
    ),
    Mistake(
      "key twice",
      #"{"text":"a","text":"b"}"#,
      "1:13: not JSON: key \"text\" stands twice in one object, first at 1:2; \(json)"
    ),
    Mistake(
      "key twice in a list",
      "[" + good + ",\n" + #"  {"text":"é","text":"b"}]"#,
      "3:15: not JSON: key \"text\" stands twice in one object, first at 3:4; \(json)"
    ),
    Mistake("comma for a row", "[,1]", "1:2: not JSON: expected a row, found ','; \(json)"),
    Mistake(
      "comma at the end",
      "[" + good + ",]",
      "2:2: not JSON: expected a row, found ']'; \(json)"
    ),
    Mistake(
      "sign among hexadecimal digits",
      #"{"text":"\u+041"}"#,
      "1:12: not JSON: expected four hexadecimal digits after \\u; \(json)"
    ),
    Mistake(
      "fraction without digits",
      #"{"ids":[1.e5],"labels":[1]}"#,
      "1:9: not JSON: '1.e5' is no JSON number; \(json)"
    ),
    Mistake(
      "not a number",
      #"{"ids":[NaN],"labels":[1]}"#,
      "1:9: not JSON: expected a JSON value, found 'N'; \(json)"
    ),
    Mistake(
      "UTF-16",
      [0xFF, 0xFE, 0x7B, 0x00],
      "1:1: the text is UTF-16 or UTF-32; save the file as UTF-8 text"
    ),
    Mistake(
      "UTF-16 without a mark",
      [0x7B, 0x00, 0x22, 0x00],
      "1:1: the text is UTF-16 or UTF-32; save the file as UTF-8 text"
    ),
    Mistake(
      "row without end",
      "{\"text\":\"" + String(repeating: "a", count: 17 << 20),
      "1: a row of more than 16777216 bytes, which is the most that a row may have; split it, or write "
        + "each row on a line of its own"
    ),
    Mistake(
      "item without end",
      "[\n{\"text\":\"" + String(repeating: "a", count: 17 << 20),
      "2: a row of more than 16777216 bytes, which is the most that a row may have; split it, or write "
        + "each row on a line of its own"
    ),
    Mistake(
      "number",
      #"{"ids":[01],"labels":[1]}"#,
      "1:9: not JSON: '01' is no JSON number; \(json)"
    ),
    Mistake(
      "deep",
      String(repeating: "[", count: 100),
      "1:66: not JSON: lists and objects nested deeper than 64; \(json)"
    ),
    Mistake(
      "not UTF-8",
      Array(good.utf8) + Array("{\"text\":\"".utf8) + [0xFF, 0xFE] + Array("\"}".utf8),
      "2:10: bytes that are not UTF-8; save the file as UTF-8 text"
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
      "1:11: \"prompt\" must be a text, found a number"
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
      "1:9: item 0 of \"ids\" must be a whole number of 32 bits, found 1.5"
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
      "1:22: \"label\" is for a head, and there is none; use {\"ids\",\"labels\"}, or an adapter with a head"
    ),
    Mistake(
      "messages without an answer",
      #"{"messages":[{"role":"user","content":"u"}]}"#,
      "1:14: the last message is of \"user\"; a row to learn from ends with the assistant's answer"
    ),
    Mistake(
      "message without content",
      #"{"messages":[{"role":"assistant"}]}"#,
      "1:14: message 0: \"content\" must be a text, found nothing"
    ),
    Mistake(
      "role that nobody knows",
      #"{"messages":[{"role":"human","content":"u"},{"role":"gpt","content":"a"}]}"#,
      "1:22: message 0: \"role\" is 'human'; expected system, developer, user, assistant, tool"
    ),
    Mistake(
      "image among the parts of a message",
      #"{"messages":[{"role":"user","content":[{"type":"image","url":"x"}]}]}"#,
      "1:40: message 0: a part of \"content\" is no text; this program reads "
        + "{\"type\":\"text\",\"text\"} alone"
    ),
    Mistake(
      "conversation without chat template",
      #"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"assistant","content":"a"}]}"#,
      "1: the model has no chat template; use a chat model, or write the prompt out and give it as "
        + "it is"
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

  struct Dropped: CustomTestStringConvertible, Sendable {
    let key: String
    let row: String
    let message: String
    var testDescription: String { key + " in " + row }
  }

  private static let asMessages = "write the row as {\"messages\"}, or take the template 'chat'"
  private static let noTools = "this program knows no tools; remove it"

  static let dropped = [
    Dropped(
      key: "system",
      row: #"{"instruction":"i","output":"o","system":"You are a pirate.","history":[["a","b"]]}"#,
      message: "1:33: \"system\"|\(asMessages)"
    ),
    Dropped(
      key: "history",
      row: #"{"question":"i","answer":"o","history":[["a","b"]]}"#,
      message: "1:30: \"history\"|\(asMessages)"
    ),
    Dropped(
      key: "input",
      row: #"{"question":"i","answer":"o","input":"n"}"#,
      message:
        "1:30: \"input\"|only {\"instruction\",\"input\",\"output\"} has an input; write it into the "
        + "prompt"
    ),
    Dropped(
      key: "tools",
      row:
        #"{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a"}],"tools":[1]}"#,
      message: "1:80: \"tools\"|\(noTools)"
    ),
    Dropped(
      key: "tool_calls",
      row: #"{"messages":[{"role":"assistant","content":"","tool_calls":[{}]}]}"#,
      message: "1:47: message 0: \"tool_calls\"|\(noTools)"
    ),
    Dropped(
      key: "name",
      row: #"{"messages":[{"role":"assistant","content":"","name":"Bob"}]}"#,
      message: "1:47: message 0: \"name\"|write it into \"content\", or remove it"
    ),
    Dropped(
      key: "chosen",
      row: #"{"prompt":"i","completion":"o","chosen":"x"}"#,
      message: "1:32: \"chosen\"|set 'train.objective' to dpo or margin to learn from preferences, "
        + "or remove it"
    ),
  ]

  @Test(
    "refuses keys that would change what the model sees, where nothing reads them",
    arguments: dropped
  )
  func refusesMeaning(row: Dropped) throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/rows.jsonl"
      try Data(row.row.utf8).write(to: URL(fileURLWithPath: path))
      let error = #expect(throws: ReFTError.self) {
        try DataSet(path: path, coder: ByteCoder(), chatTemplate: nil)
      }
      let message = row.message.replacing(
        "|",
        with: " would change what the model sees, and nothing reads it here; "
      )
      #expect(error?.message == "\(path):\(message)")
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
