// SPDX-License-Identifier: Apache-2.0
// The tasks that come along, each on a row of its form, and several contenders in one batch.

import Foundation
import ReFTEvaluation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("A task that comes along")
struct LibraryTests {
  struct Case: CustomTestStringConvertible {
    var task: String
    var file = "rows.json"
    var rows: String
    /// What the model reads at the end of the prompt.
    var prompt: String
    var options: [String]?
    var answer: String
    var testDescription: String { task }
  }

  private static func row(_ instruction: String, _ answer: String) -> String {
    let text = instruction.replacing("\n", with: "\\n")
    return #"[{"instruction": "\#(text)", "input": "", "output": "", "answer": "\#(answer)"}]"#
  }

  private static let question = row(
    "Please choose the correct answer to the question: Where is it wet?\n\nAnswer1: in a lake "
      + "Answer2: on sand Answer3: in fire\n\nAnswer format: answer1/answer2/answer3",
    "answer1"
  )

  private static let cases: [Case] = [
    Case(
      task: "arc_easy_cloze",
      rows: question,
      prompt: "Question: Where is it wet?\nAnswer:",
      options: ["in a lake", "on sand", "in fire"],
      answer: "0"
    ),
    Case(
      task: "openbookqa",
      rows: question,
      prompt: "\n\nAnswer format: answer1/answer2/answer3\n",
      answer: "answer1"
    ),
    Case(
      task: "boolq_cloze",
      rows: row(
        "Please answer the following question with true or false, question: is it wet?\n\nAnswer "
          + "format: true/false",
        "true"
      ),
      prompt: "Question: is it wet?\nAnswer:",
      options: ["no", "yes"],
      answer: "1"
    ),
    Case(
      task: "hellaswag_cloze",
      rows: row(
        "Please choose the correct ending to complete the given sentence: Boats: [header] How to "
          + "row [title] Sit.  You\n\nEnding1: sink. Ending2: row.\n\nAnswer format: ending1/ending2",
        "ending2"
      ),
      prompt: "Boats: How to row. Sit. You",
      options: ["sink.", "row."],
      answer: "1"
    ),
    Case(
      task: "winogrande_cloze",
      rows: row(
        "Please choose the correct answer to fill in the blank to complete the given sentence: The "
          + "cup fits the box as _ is small.\n\nOption1: cup Option2: box Answer format: "
          + "option1/option2",
        "option1"
      ),
      prompt: "The cup fits the box as cup",
      options: ["is small.", "is small."],
      answer: "0"
    ),
    Case(
      task: "piqa_cloze",
      rows: row(
        "Please choose the correct solution to the question: dry a cup\n\nSolution1: use a cloth "
          + "Solution2: use tea\n\nAnswer format: solution1/solution2",
        "solution1"
      ),
      prompt: "Question: dry a cup\nAnswer:",
      options: ["use a cloth", "use tea"],
      answer: "0"
    ),
    Case(
      task: "svamp",
      rows: row("One and one is?", "2.0"),
      prompt: "One and one is?",
      answer: "2.0"
    ),
    Case(
      task: "gsm8k",
      file: "rows.jsonl",
      rows: #"{"question": "One and one?", "answer": "1+1=<<1+1=2>>2\n#### 2"}"#,
      prompt: "then answer the final number.\n",
      answer: "2"
    ),
    Case(
      task: "sst2_cloze",
      file: "rows.tsv",
      rows: "sentence\tlabel\na \"fine\" one\t1\n",
      prompt: "a \"fine\" one\nQuestion: Is this review positive or negative?\nAnswer:",
      options: ["negative", "positive"],
      answer: "1"
    ),
    Case(
      task: "mrpc_cloze",
      file: "rows.tsv",
      rows: "\u{FEFF}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\tan a\ta b\n",
      prompt:
        "Sentence 1: an a\nSentence 2: a b\nQuestion: Do both sentences say the same?\nAnswer:",
      options: ["no", "yes"],
      answer: "0"
    ),
    Case(
      task: "cola_cloze",
      file: "rows.tsv",
      rows: "x\t0\t*\tA the.\n",
      prompt: "A the.\nQuestion: Is this sentence good English?\nAnswer:",
      options: ["no", "yes"],
      answer: "0"
    ),
  ]

  @Test("reads its file's form, and words it as it says", arguments: cases)
  func wording(_ example: Case) throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let path = folder + "/" + example.file
      try example.rows.write(toFile: path, atomically: true, encoding: .utf8)
      let store = try OutcomeStore(folder: folder + "/out", facts: [:], resumes: false)
      var options = TaskEvaluator.Options()
      options.maxLength = 480
      let task = try TaskFile(example.task)
      let results = try TaskEvaluator(model: model, options: options)
        .evaluate(task, data: path, store: store)
      #expect(results[0].count == 1 && results[0].isMain)
      let line = try String(
        contentsOfFile: store.path(task: example.task, contender: "frozen"),
        encoding: .utf8
      )
      let outcome = try JSONDecoder().decode(RowOutcome.self, from: Data(line.utf8))
      #expect(outcome.prompt?.hasSuffix(example.prompt) == true, "\(outcome.prompt ?? "")")
      #expect(outcome.options == example.options && outcome.answer == example.answer)
    }
  }

  @Test("for a judge leaves the file that Alpaca-Eval reads, and needs a folder for it")
  func replies() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let path = folder + "/rows.json"
      try #"[{"instruction": "say a", "dataset": "own", "output": "x"}]"#
        .write(toFile: path, atomically: true, encoding: .utf8)
      let task = try EvaluationPlan.Item(task: "alpaca_eval").read()
      var options = TaskEvaluator.Options()
      options.maxLength = 32
      let evaluator = TaskEvaluator(model: model, options: options)
      #expect(throws: ReFTError.self) { try evaluator.evaluate(task, data: path) }
      let store = try OutcomeStore(folder: folder + "/out", facts: [:], resumes: false)
      _ = try evaluator.evaluate(task, data: path, store: store)
      let file = try JSONFile.read(path: folder + "/out/alpaca_eval-frozen.json")
      guard case .list(let items) = file.content, let item = items.first else {
        Issue.record("no list of replies")
        return
      }
      #expect(item["instruction"]?.word == "say a" && item["dataset"]?.word == "own")
      #expect(item["generator"]?.word == "frozen" && item["output"] != nil)
    }
  }

  @Test("gives each contender the numbers that it has alone")
  func together() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let path = folder + "/rows.json"
      try Self.question.write(toFile: path, atomically: true, encoding: .utf8)
      let catalog = try BuiltPlugins.catalog()
      var contenders = [Contender.frozen]
      for seed in [1, 2] as [UInt64] {
        let spec = InterventionSpec(
          plugin: "loreft",
          layers: [0, 1],
          positions: try PositionRule("f2+l2"),
          options: ["rank": .int(2)]
        )
        let adapter = try Adapter.create(
          specs: [spec],
          model: model,
          catalog: catalog,
          seed: seed
        )
        contenders.append(Contender(name: "a\(seed)", adapter: adapter))
      }
      let task = try TaskFile("arc_easy_cloze")
      func scores(_ contenders: [Contender], _ name: String) throws -> [[Double]] {
        let store = try OutcomeStore(folder: folder + "/" + name, facts: [:], resumes: false)
        _ = try TaskEvaluator(model: model, contenders: contenders)
          .evaluate(task, data: path, store: store)
        return try contenders.map { contender in
          let file = store.path(task: task.name, contender: contender.name)
          let data = try Data(contentsOf: URL(fileURLWithPath: file))
          return try JSONDecoder().decode(RowOutcome.self, from: data).logLikelihoods ?? []
        }
      }
      let together = try scores(contenders, "all")
      for (number, contender) in contenders.enumerated() {
        #expect(try scores([contender], "alone\(number)") == [together[number]])
      }
      #expect(Set(together.map { $0.description }).count == 3)
    }
  }
}
