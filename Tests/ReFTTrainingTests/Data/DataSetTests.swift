// SPDX-License-Identifier: Apache-2.0
// Data files: every row format, template and length rule, and every kind of mistake with its line.

import Foundation
import ReFTTensor
import ReFTText
import ReFTTraining
import Testing
import _ReFTTestSupport

/// One token per byte, plus an end token.
struct ByteCoder: TextCoding {
  var eos: Int32? = 256
  var bos: Int32?
  let vocabularySize = 258
  var addsBOS: Bool { bos != nil }

  func isSpecial(_ id: Int32) -> Bool { id > 255 }

  func encode(_ text: String, parseSpecial: Bool, addBOS: Bool?) -> [Int32] {
    (addBOS != true ? [] : bos.map { [$0] } ?? []) + text.utf8.map(Int32.init)
  }
}

private func tokens(_ text: String) -> [Int32] { text.utf8.map(Int32.init) }

struct DataSetTests {
  private func load(
    _ content: String,
    _ options: DataSet.Options = .init(),
    coder: ByteCoder = ByteCoder(),
    chat: ChatTemplate? = nil
  ) throws -> DataSet {
    try load(Data(content.utf8), options, coder: coder, chat: chat)
  }

  private func load(
    _ content: Data,
    _ options: DataSet.Options = .init(),
    coder: ByteCoder = ByteCoder(),
    chat: ChatTemplate? = nil
  ) throws -> DataSet {
    try withTemporaryDirectory { folder in
      let path = folder + "/rows.jsonl"
      try content.write(to: URL(fileURLWithPath: path))
      return try DataSet(path: path, options: options, coder: coder, chatTemplate: chat)
    }
  }

  struct Format: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let row: String
    var template = "none"
    let prompt: String
    let completion: String
  }

  static let formats = [
    Format(
      testDescription: "prompt and completion",
      row: #"{"prompt":"a b","completion":" c"}"#,
      prompt: "a b",
      completion: " c"
    ),
    Format(
      testDescription: "prompt and completion, whatever the template",
      row: #"{"prompt":"a b","completion":" c"}"#,
      template: "alpaca",
      prompt: "a b",
      completion: " c"
    ),
    Format(
      testDescription: "instruction with input",
      row: #"{"instruction":"Add","input":"1 2","output":"3"}"#,
      prompt: "Add\n1 2",
      completion: "3"
    ),
    Format(
      testDescription: "null input and foreign keys",
      row: #"{"id":[1,{"x":null}],"instruction":"Add","input":null,"output":"3"}"#,
      prompt: "Add",
      completion: "3"
    ),
    Format(
      testDescription: "alpaca without input",
      row: #"{"question":"Q?","answer":"A"}"#,
      template: "alpaca",
      prompt: "Below is an instruction that describes a task. Write a response that appropriately "
        + "completes the request.\n\n### Instruction:\nQ?\n\n### Response:\n",
      completion: "A"
    ),
    Format(
      testDescription: "alpaca with input",
      row: #"{"instruction":"Add","input":"1 2","output":"3"}"#,
      template: "alpaca",
      prompt: "Below is an instruction that describes a task, paired with an input that provides "
        + "further context. Write a response that appropriately completes the request.\n\n"
        + "### Instruction:\nAdd\n\n### Input:\n1 2\n\n### Response:\n",
      completion: "3"
    ),
    Format(
      testDescription: "format string",
      row: #"{"instruction":"i","input":"n","output":"o"}"#,
      template: "{{Q}} {instruction}/{input} => {output}!",
      prompt: "{Q} i/n => ",
      completion: "o!"
    ),
    Format(
      testDescription: "escapes and surrogate pairs",
      row: #"{"prompt":"\u00e9\ud83d\ude00\n\"\/","completion":"x"}"#,
      prompt: "é😀\n\"/",
      completion: "x"
    ),
  ]

  @Test("labels the completion and its end, and nothing of the prompt", arguments: formats)
  func labels(format: Format) throws {
    var options = DataSet.Options()
    options.template = try Template(format.template)
    let example = try load(format.row, options).examples[0]
    let (head, tail) = (tokens(format.prompt), tokens(format.completion) + [256])
    #expect(example.ids == head + tail)
    #expect(example.labels == head.map { _ in Example.noLabel } + tail)
    #expect(example.promptLength == head.count)
    #expect(example.labelCount == tail.count)
  }

  @Test("leaves the end-of-sequence token out on request, and asks where there is none")
  func endOfSequence() throws {
    let row = #"{"prompt":"a","completion":"b"}"#
    var options = DataSet.Options()
    options.appendsEndOfSequence = false
    #expect(try load(row, options).examples[0].ids == tokens("ab"))
    let error = #expect(throws: ReFTError.self) { try load(row, coder: ByteCoder(eos: nil)) }
    #expect(
      error?.message == "the model's tokenizer names no end-of-sequence token; set "
        + "'data.end_of_sequence: false' (with `reft score`: --no-eos)"
    )
  }

  @Test("puts a beginning-of-text token before prompts, texts and chats alike")
  func beginning() throws {
    let coder = ByteCoder(bos: 257)
    #expect(
      try load(#"{"prompt":"a","completion":"b"}"#, coder: coder).examples[0].ids
        == [257, 97, 98, 256]
    )
    let text = try load(#"{"text":"ab"}"#, coder: coder).examples[0]
    #expect(text == Example(ids: [257, 97, 98], labels: [-100, 97, 98], promptLength: 3))
    let template = ChatTemplate(
      source: "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
        + "{% if add_generation_prompt %}<assistant>{% endif %}",
      bos: "",
      eos: ""
    )
    let row = """
      {"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"},\
      {"role":"assistant","content":"a"}]}
      """
    // No template is chosen: conversations go through the model's own.
    let chat = try load(row, coder: coder, chat: template).examples[0]
    #expect(chat.ids == [257] + tokens("<system>s<user>u<assistant>a") + [256])
    #expect(chat.promptLength == 28)
  }

  @Test("takes ids and labels as they are; the prompt is what has no label at the start")
  func rawTokens() throws {
    let example = try load(#"{"ids":[5,6,7,8],"labels":[-100,-100,7,-100]}"#).examples[0]
    #expect(
      example == Example(ids: [5, 6, 7, 8], labels: [-100, -100, 7, -100], promptLength: 2)
    )
  }

  @Test("reads byte order marks, carriage returns, empty lines and lists")
  func shapes() throws {
    let row = #"{"prompt":"a","completion":"b"}"#
    let lines = try load("\u{FEFF}\r\n\(row)\r\n\r\n  \n\(row)")
    #expect(lines.examples.count == 2)
    #expect(lines.lines == [2, 5])
    let list = try load("[\n\(row),\n\n\(row)\n]\n")
    #expect(list.examples == lines.examples)
    #expect(list.lines == [2, 4])
  }

  @Test("counts the rows with keys that nothing reads, and tells the first")
  func unreadKeys() throws {
    let data = try load(
      """
      {"prompt":"a","completion":"b","system":"","tools":null}
      {"prompt":"a","completion":"b","id":1,"source":"x"}
      {"prompt":"a","completion":"b","category":"c","id":2}
      """
    )
    let unread = data.account.unread
    #expect(unread.rows == 2)
    #expect(unread.keys == ["id", "source", "category"])
    #expect(
      data.warnings == [
        "\(data.path):2: 2 of 3 rows have keys that nothing reads, this one the first: \"id\", "
          + "\"source\", \"category\""
      ]
    )
  }

  @Test("puts the system's words and earlier turns where the chat template has a place for them")
  func turns() throws {
    let template = ChatTemplate(
      source: "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
        + "{% if add_generation_prompt %}<assistant>{% endif %}",
      bos: "",
      eos: ""
    )
    var options = DataSet.Options()
    options.template = .chat
    let row = """
      {"instruction":"i","input":"n","output":"o","system":"s","history":[["q","a"]]}
      """
    let ids = try load(row, options, chat: template).examples[0].ids
    #expect(ids == tokens("<system>s<user>q<assistant>a<user>i\n\nn<assistant>o") + [256])
  }

  @Test("reads a row of a hundred thousand keys, and one of many lists, in linear time")
  func wideRows() throws {
    let keys = (0..<100_000).map { "\"k\($0)\":0" }.joined(separator: ",")
    let lists = String(repeating: "[[],", count: 200_000)
    let deep = String(repeating: "[", count: 60) + String(repeating: "]", count: 60)
    for extra in [
      keys, "\"a\":[" + Array(repeating: deep, count: 10_000).joined(separator: ",") + "]",
    ] {
      let time = try ContinuousClock().measure {
        let data = try load("{\"prompt\":\"a\",\"completion\":\"b\",\(extra)}")
        #expect(data.examples.count == 1)
      }
      #expect(time < .seconds(8))
    }
    let time = ContinuousClock().measure {
      #expect(throws: ReFTError.self) { try load("{\"a\":" + lists) }
    }
    #expect(time < .seconds(8))
  }

  @Test("takes the first rows and does not look further")
  func limit() throws {
    var options = DataSet.Options()
    options.limit = 1
    let row = #"{"prompt":"a","completion":"b"}"#
    #expect(try load(row + "\nnonsense", options).account.rows == 1)
    #expect(try load("[\(row), nonsense", options).account.rows == 1)
  }

  /// Rows, cut and skipped ones, tokens and labels.
  private func counts(_ data: DataSet) -> [Int] {
    let account = data.account
    return [account.rows, account.cut, account.skipped, account.tokens, account.labels]
  }

  @Test("cuts, skips or refuses rows that are too long, and counts them")
  func lengths() throws {
    let rows = """
      {"prompt":"ab","completion":"cdef"}
      {"prompt":"abcdef","completion":"g"}
      {"prompt":"a","completion":"b"}
      """
    var options = DataSet.Options()
    options.maxLength = 5
    let cut = try load(rows, options)
    #expect(counts(cut) == [3, 2, 1, 8, 5])
    #expect(cut.examples[0].ids == tokens("abcde"))
    #expect(cut.lines == [1, 3])
    options.overlong = .skip
    #expect(
      try counts(load(rows, options)) == [3, 0, 2, 3, 2]
    )
    options.overlong = .error
    let error = #expect(throws: ReFTError.self) { try load(rows, options) }
    #expect(
      error?.message.hasSuffix(
        "rows.jsonl:1: more than 5 tokens, the most that 'data.max_length' allows; raise it, or take "
          + "'data.overlong: cut' or 'skip'"
      ) == true
    )
    options.maxLength = 1
    options.overlong = .cut
    let nothing = #expect(throws: ReFTError.self) { try load(rows, options) }
    #expect(
      nothing?.message.hasSuffix(
        "rows.jsonl: none of its 3 rows keeps a token to learn within 1 tokens, the most that "
          + "'data.max_length' allows; shorten the prompts, or raise it"
      ) == true
    )
  }

  @Test("splits off a validation part by the seed, without loss and without overlap")
  func split() throws {
    let rows = (0..<10).map { #"{"prompt":"\#($0)","completion":"x"}"# }.joined(separator: "\n")
    let data = try load(rows)
    let (train, validation) = try data.split(fraction: 0.3, seed: 1)
    #expect(validation.examples.count == 3)
    #expect(Set(train.lines).union(validation.lines).count == 10)
    #expect(train.lines == train.lines.sorted())
    #expect(try data.split(fraction: 0.3, seed: 1).1.lines == validation.lines)
    #expect(try data.split(fraction: 0.3, seed: 2).1.lines != validation.lines)
    #expect(train.account.tokens == 7 * 3)
    #expect(train.account.rows == 7 && validation.account.rows == 3)
  }
}
