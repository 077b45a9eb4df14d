// SPDX-License-Identifier: Apache-2.0
// Rows with labels of a head: JSON and the tables of GLUE, what they become, and what is refused.

import Foundation
import ReFTHost
import ReFTTensor
import ReFTText
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("Rows with labels")
struct LabelledDataTests {
  /// One token per byte behind a start token.
  private struct Bytes: TextCoding {
    let eos: Int32? = 257
    let bos: Int32? = 256
    let addsBOS = true
    let vocabularySize = 258

    func isSpecial(_ id: Int32) -> Bool { id > 255 }

    func encode(_ text: String, parseSpecial: Bool, addBOS: Bool?) -> [Int32] {
      text.utf8.map(Int32.init)
    }
  }

  private static let names = LabelSet(names: ["negative", "positive"])

  private static func spec(
    _ task: HeadSpec.Task = .classification,
    _ labels: LabelSet = names
  ) -> HeadSpec {
    HeadSpec(task: task, labels: task == .regression ? .value : labels, pooling: .first)
  }

  private func load(
    _ text: String,
    _ head: HeadSpec? = spec(),
    name: String = "rows.jsonl",
    change: (inout DataSet.Options) -> Void = { _ in }
  ) throws -> DataSet {
    try withTemporaryDirectory { folder in
      try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/" + name))
      var options = DataSet.Options()
      options.head = head
      change(&options)
      do {
        return try DataSet(
          path: folder + "/" + name,
          options: options,
          coder: Bytes(),
          chatTemplate: nil
        )
      } catch let error as ReFTError {
        throw ReFTError(error.code, error.message.replacing(folder + "/", with: ""))
      }
    }
  }

  @Test("of JSON are texts, pairs and tokens, labelled by number or name")
  func json() throws {
    let data = try load(
      """
      {"text":"ab","label":1}
      {"text":"ab","text_pair":"c","label":"negative","idx":7}
      {"ids":[5,6,7],"label":"positive"}
      {"text":"d","text_pair":null,"label":0}
      """
    )
    #expect(
      data.examples.map(\.ids) == [[256, 97, 98], [256, 97, 98, 99], [5, 6, 7], [256, 100]]
    )
    #expect(data.examples.map(\.types) == [[], [0, 0, 0, 1], [], []])
    #expect(data.examples.map(\.target) == [.label(1), .label(0), .label(1), .label(0)])
    #expect(data.examples.map(\.promptLength) == [3, 4, 3, 2])
    #expect(data.account.labels == 4)
    #expect(data.warnings.count == 1 && data.warnings[0].contains("\"idx\""))
  }

  @Test("have several labels, or a number")
  func otherTasks() throws {
    let labels = LabelSet(names: ["a", "b", "2"])
    let several = try load(
      """
      {"text":"x","label":[]}
      {"text":"x","label":["b",2]}
      {"text":"x","label":[0]}
      """,
      Self.spec(.multiLabel, labels)
    )
    #expect(
      several.examples.map(\.target) == [
        .labels([false, false, false]), .labels([false, true, true]),
        .labels([true, false, false]),
      ]
    )
    let numbers = try load(
      #"[{"text":"x","label":2},{"text":"y","label":-0.25}]"#,
      Self.spec(.regression)
    )
    #expect(numbers.examples.map(\.target) == [.value(2), .value(-0.25)])
  }

  struct Table: CustomTestStringConvertible, Sendable {
    var format: String
    var text: String
    var task: HeadSpec.Task = .classification
    var labels: [String] = []
    var first: String
    var target: Target

    var testDescription: String { format }

    var spec: HeadSpec {
      LabelledDataTests.spec(
        task,
        labels.isEmpty ? LabelSet(count: 2) : LabelSet(names: labels)
      )
    }
  }

  static let tables = [
    Table(
      format: "glue/cola",
      text: "gj04\t1\t\tThey \"drank\" it.\ncj99\t0\t*\tThey drank.\n",
      first: "They \"drank\" it.",
      target: .label(1)
    ),
    Table(
      format: "glue/sst2",
      text: "sentence\tlabel\nfine ,  really \t1\nbad\t0",
      first: "fine ,  really ",
      target: .label(1)
    ),
    Table(
      format: "glue/mrpc",
      text: "\u{FEFF}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n0\t1\t2\tHe \" said\tShe\r\n",
      first: "He \" saidShe",
      target: .label(0)
    ),
    Table(
      format: "glue/rte",
      text: "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tnot_entailment\n",
      labels: ["entailment", "not_entailment"],
      first: "AB",
      target: .label(1)
    ),
    Table(
      format: "glue/stsb",
      text:
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        + "0\tg\tf\ty\t0001\tn\tn\tA plane.\tAn aeroplane.\t3.800\n",
      task: .regression,
      first: "A plane.An aeroplane.",
      target: .value(3.8)
    ),
    Table(
      format: "glue/qnli",
      text: "index\tquestion\tsentence\tlabel\n0\tWho?\tHe.\tentailment\n",
      labels: ["entailment", "not_entailment"],
      first: "Who?He.",
      target: .label(0)
    ),
    Table(
      format: "glue/qqp",
      text: "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tA?\tB?\t1\n",
      first: "A?B?",
      target: .label(1)
    ),
    Table(
      format: "glue/mnli",
      text:
        "index\tgenre\tsentence1\tsentence2\tlabel1\tgold_label\n1\tg\tA\tB\tneutral\tneutral\n",
      labels: ["contradiction", "neutral"],
      first: "AB",
      target: .label(1)
    ),
  ]

  @Test("of GLUE's tables are told by their first line, or by their format", arguments: tables)
  func table(table: Table) throws {
    let told = try load(table.text, table.spec, name: "rows.tsv")
    let named = try load(table.text, table.spec, name: "rows.txt") {
      $0.format = DataFormat(rawValue: table.format)
    }
    for data in [told, named] {
      let first = try #require(data.examples.first)
      #expect(
        String(decoding: first.ids.dropFirst().map { UInt8($0) }, as: UTF8.self) == table.first
      )
      #expect(first.target == table.target)
      #expect(data.lines[0] == (table.format == "glue/cola" ? 1 : 2))
    }
    #expect(told.hash == named.hash)
  }

  @Test("of the other tables are refused where a format is named")
  func otherFormats() throws {
    for table in Self.tables {
      for other in Self.tables where other.format != table.format {
        // MNLI's table has the columns of RTE's but for the name of the label.
        let error = #expect(throws: ReFTError.self) {
          try load(table.text, table.spec) { $0.format = DataFormat(rawValue: other.format) }
        }
        #expect(error?.code == .badData)
        #expect(error?.message.contains("not a table of \(other.format): found") == true)
      }
    }
  }

  struct Mistake: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var text: String
    var message: String
    var name = "rows.jsonl"
    var task = HeadSpec.Task.classification
  }

  static let mistakes = [
    Mistake(
      testDescription: "no label",
      text: #"{"text":"a"}"#,
      message: "rows.jsonl:1: \"label\" must be a number, a name, or a list of these, found nothing"
    ),
    Mistake(
      testDescription: "a label that is none",
      text: #"{"text":"a","label":"netural"}"#,
      message: "rows.jsonl:1: \"label\" is \"netural\"; expected one of the labels 'negative', "
        + "'positive', or a number from 0 to 1"
    ),
    Mistake(
      testDescription: "a number beyond the labels",
      text: #"{"text":"a","label":2}"#,
      message:
        "rows.jsonl:1: \"label\" is 2; expected one of the labels 'negative', 'positive', or "
        + "a number from 0 to 1"
    ),
    Mistake(
      testDescription: "a fraction",
      text: #"{"text":"a","label":0.5}"#,
      message: "rows.jsonl:1: \"label\" is 0.5; expected one of the labels"
    ),
    Mistake(
      testDescription: "a name for a number",
      text: #"{"text":"a","label":"high"}"#,
      message: "rows.jsonl:1: \"label\" is \"high\"; expected a number",
      task: .regression
    ),
    Mistake(
      testDescription: "one label where several may hold",
      text: #"{"text":"a","label":1}"#,
      message: "rows.jsonl:1: \"label\" is 1; expected a list of the labels that hold",
      task: .multiLabel
    ),
    Mistake(
      testDescription: "another format",
      text: #"{"prompt":"a","completion":"b"}"#,
      message: "rows.jsonl:1: expected {\"text\",\"label\"}, {\"text\",\"text_pair\",\"label\"} or "
        + "{\"ids\",\"label\"}, found the keys \"prompt\", \"completion\""
    ),
    Mistake(
      testDescription: "a foreign token",
      text: #"{"ids":[3,999],"label":1}"#,
      message: "rows.jsonl:1: \"ids\" holds 999, which is no token of this model; expected 0 to 257"
    ),
    Mistake(
      testDescription: "a short line",
      text: "sentence\tlabel\na\t1\nb\n",
      message: "rows.tsv:3: a line of 1 columns; expected 2, with tabs between them",
      name: "rows.tsv"
    ),
    Mistake(
      testDescription: "a label that is no cell's",
      text: "sentence\tlabel\na\tgood\n",
      message: "rows.tsv:2: \"label\" is \"good\"; expected one of the labels",
      name: "rows.tsv"
    ),
    Mistake(
      testDescription: "a table that nobody knows",
      text: "a\tb\n1\t2\n",
      message: "rows.tsv:1: a table that is none of glue/cola, glue/sst2, glue/mrpc, glue/stsb, "
        + "glue/qqp, glue/qnli, glue/mnli, glue/rte: found 2 columns: 'a', 'b'; name its "
        + "'data.format', or write the rows as {\"text\",\"text_pair\",\"label\"}",
      name: "rows.tsv"
    ),
    Mistake(
      testDescription: "an empty table",
      text: "\n\n",
      message: "rows.tsv:1: no rows",
      name: "rows.tsv"
    ),
  ]

  @Test("that are wrong are refused with place and remedy", arguments: mistakes)
  func refuses(mistake: Mistake) {
    let error = #expect(throws: ReFTError.self) {
      try load(mistake.text, Self.spec(mistake.task), name: mistake.name)
    }
    #expect(error?.code == .badData)
    #expect(error?.message.hasPrefix(mistake.message) == true, "\(error?.message ?? "")")
  }

  @Test("are cut, left out or refused where they are too long; the start token stays")
  func lengths() throws {
    let text = #"{"text":"abcdef","text_pair":"gh","label":1}"# + "\n" + #"{"text":"a","label":1}"#
    let cut = try load(text) { $0.maxLength = 6 }
    #expect(cut.examples.map(\.ids) == [[256, 97, 98, 99, 103, 104], [256, 97]])
    #expect(cut.account.cut == 1)
    let skipped = try load(text) {
      $0.maxLength = 6
      $0.overlong = .skip
    }
    #expect(skipped.rowNumbers == [1] && skipped.account.skipped == 1)
    let error = #expect(throws: ReFTError.self) {
      try load(text) {
        $0.maxLength = 6
        $0.overlong = .error
      }
    }
    #expect(error?.message.hasPrefix("rows.jsonl:1: more than 6 tokens") == true)
  }

  @Test("need a head, and a table too")
  func withoutHead() {
    let table = #expect(throws: ReFTError.self) {
      try load("sentence\tlabel\na\t1\n", nil, name: "rows.tsv")
    }
    #expect(table?.message.contains("only a head can learn") == true)
  }
}
