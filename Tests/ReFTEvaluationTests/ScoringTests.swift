// SPDX-License-Identifier: Apache-2.0
// What scorers make of a tiny model, against sums of what the model itself says of each token.

import Foundation
import ReFTEvaluation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("A scorer")
struct ScoringTests {
  private func withTask<Result>(
    _ yaml: String,
    rows: String,
    named name: String = "rows.jsonl",
    _ body: (LoadedModel, TaskFile, _ folder: String) throws -> Result
  ) throws -> Result {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      try rows.write(toFile: folder + "/" + name, atomically: true, encoding: .utf8)
      let path = folder + "/task.yaml"
      try "data: {file: \(name)}\n\(yaml)".write(toFile: path, atomically: true, encoding: .utf8)
      return try body(model, TaskFile(path), folder)
    }
  }

  /// The log-likelihood of the tokens behind the first `count`, in nats.
  private func logLikelihood(_ ids: [Int32], from count: Int, _ model: LoadedModel) throws -> Double
  {
    var batch = PackedBatch()
    batch.append(ids: ids, labels: [Int32](repeating: -100, count: count) + ids[count...])
    return try -ModelRuntime(model: model.frozen).loss(batch, editor: nil)
      .reduce(0.0) { $0 + Double($1) }
  }

  private func outcomes(_ folder: String, _ task: String) throws -> [RowOutcome] {
    let text = try String(
      contentsOfFile: "\(folder)/out/outputs-\(task)-frozen.jsonl",
      encoding: .utf8
    )
    return try text.split(separator: "\n").map {
      try JSONDecoder().decode(RowOutcome.self, from: Data($0.utf8))
    }
  }

  @Test(
    "of choices adds up the log-likelihoods of an option's tokens, alone or with others in a pass"
  )
  func choice() throws {
    let yaml =
      "task: t\nprompt: \"the {q} of\"\nchoice: {options: [the man, in, on a], answer: \"{a}\"}"
    let rows = """
      {"q": "man in the house on the hill and the sea", "a": "in"}
      {"q": "x", "a": 2}
      """
    try withTask(yaml, rows: rows) { model, task, folder in
      let store = try OutcomeStore(folder: folder + "/out", facts: [:], resumes: false)
      let results = try TaskEvaluator(model: model).evaluate(task, store: store)
      let outcomes = try outcomes(folder, "t")
      for (outcome, q) in zip(outcomes, ["man in the house on the hill and the sea", "x"]) {
        let prompt = "the \(q) of"
        let count = model.tokenizer.encode(prompt, parseSpecial: true, addBOS: false).count
        for (option, found) in zip(["the man", "in", "on a"], try #require(outcome.logLikelihoods))
        {
          let whole = prompt + " " + option
          let ids = model.tokenizer.encode(whole, parseSpecial: true, addBOS: false)
          let expected = try logLikelihood(ids, from: count, model)
          #expect(abs(found - expected) < 1e-4, "\(option): \(found) and \(expected)")
        }
      }
      let acc = try #require(results.first { $0.metric == "acc" })
      #expect(acc.value == outcomes.reduce(0) { $0 + ($1.scores["acc"] ?? 0) } / 2)
      #expect(abs((acc.chance ?? 0) - 1.0 / 3) < 1e-12)
    }
  }

  @Test("of perplexity predicts each token once, in windows that overlap in one")
  func perplexity() throws {
    let text = "the man in the house of the sea and a re on it"
    let yaml = "task: t\nperplexity: {text: \"{text}\", window: 8}"
    try withTask(yaml, rows: text, named: "rows.txt") { model, task, _ in
      let results = try TaskEvaluator(model: model).evaluate(task)
      let own = model.tokenizer.encode(text, parseSpecial: true, addBOS: false)
      let ids = [try #require(model.tokenizer.bos)] + own
      var sum = 0.0
      var done = 1
      while done < ids.count {
        let end = min(ids.count, done + 8)
        let start = max(0, end - 9)
        sum += try logLikelihood(Array(ids[start..<end]), from: done - start, model)
        done = end
      }
      let value = try #require(results.first { $0.metric == "token_perplexity" }?.value)
      #expect(abs(value / exp(-sum / Double(own.count)) - 1) < 1e-5)
      let words = try #require(results.first { $0.metric == "word_perplexity" }?.value)
      #expect(abs(words / exp(-sum / 13) - 1) < 1e-5)
    }
  }

  @Test("of generation takes what the model writes, and goes on where an ended run was")
  func generation() throws {
    let yaml = """
      task: t
      prompt: "{q}"
      generate: {max_tokens: 4, answer: "{a}", normalise: number}
      chance: 0.25
      """
    let rows = "{\"q\": \"the\", \"a\": 1}\n{\"q\": \"in\", \"a\": 2}\n{\"q\": \"on\", \"a\": 3}\n"
    try withTask(yaml, rows: rows) { model, task, folder in
      let evaluator = TaskEvaluator(model: model)
      let store = try OutcomeStore(folder: folder + "/out", facts: ["m": "1"], resumes: false)
      let first = try evaluator.evaluate(task, store: store)
      let all = try outcomes(folder, "t")
      #expect(all.map(\.row) == [0, 1, 2] && all.allSatisfy { ($0.replyTokens ?? 0) <= 4 })
      // Only the first row is kept, with half a line behind it, as a kill leaves them.
      let path = folder + "/out/outputs-t-frozen.jsonl"
      let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
      try "\(lines[0])\n\(lines[1].prefix(9))".write(
        toFile: path,
        atomically: true,
        encoding: .utf8
      )
      let again = try OutcomeStore(folder: folder + "/out", facts: ["m": "1"], resumes: true)
      var started: Int?
      let second = try evaluator.evaluate(
        task,
        store: again,
        progress: { started = started ?? $0.done }
      )
      #expect(started == 1 && second.map(\.value) == first.map(\.value))
      #expect(try outcomes(folder, "t") == all)
      #expect(second[0].chance == 0.25 && second[0].metric == "exact_match")
      #expect(throws: ReFTError.self) {
        try OutcomeStore(folder: folder + "/out", facts: ["m": "2"], resumes: true)
      }
    }
  }

  @Test("shows rows out of all of them, whatever the limit is")
  func shown() throws {
    let yaml = """
      task: t
      few_shot: {count: 2}
      prompt: "{q}"
      choice: {options: [in, on], answer: "{a}"}
      chance: 0.9
      """
    let rows = (0..<8).map { "{\"q\": \"the \($0)\", \"a\": \($0 % 2)}" }
      .joined(separator: "\n")
    var prompts: [[String?]] = []
    for limit in [nil, 1, 6] {
      try withTask(yaml, rows: rows) { model, task, folder in
        var options = TaskEvaluator.Options()
        options.limit = limit
        let store = try OutcomeStore(folder: folder + "/out", facts: [:], resumes: false)
        let results = try TaskEvaluator(model: model, options: options)
          .evaluate(task, store: store)
        #expect(results[0].count == limit ?? 8)
        #expect(abs((results[0].chance ?? 0) - 0.9) < 1e-12)
        prompts.append(try outcomes(folder, "t").map(\.prompt))
      }
    }
    #expect(prompts[1] == Array(prompts[0].prefix(1)))
    #expect(prompts[2] == Array(prompts[0].prefix(6)))
  }

  @Test("names the row that lacks a field, with the nearest name")
  func missingField() throws {
    let yaml = "task: t\nprompt: \"{question}\"\nchoice: {options: [a, b], answer: \"{a}\"}"
    try withTask(yaml, rows: "{\"qestion\": \"x\", \"a\": \"a\"}") { model, task, folder in
      let error = #expect(throws: ReFTError.self) { try TaskEvaluator(model: model).evaluate(task) }
      #expect(
        error?.message
          == "\(folder)/rows.jsonl:1: the row has no field 'question'; did you mean 'qestion'? its "
          + "fields are 'qestion', 'a'"
      )
    }
  }

  @Test("reads tables strictly, and names the line and the columns that it expects")
  func tables() throws {
    let yaml = "task: t\nprompt: \"{q}\"\nchoice: {options: [a, b], answer: \"{a}\"}"
    for (name, rows, says) in [
      ("rows.csv", "q,a\n\"x, y\",a\nx, y,a\n", ":3: a row of 3 cells; expected 2: 'q', 'a'"),
      ("rows.csv", "q,a\n\"x\" y,a\n", "rows.csv:2: ' y,a' behind the closing quote of a cell"),
      ("rows.csv", "q,a\nx,\"a\n", "rows.csv:2: a cell begins with a double quote"),
      ("rows.tsv", "q\ta\n\"x\n", "rows.tsv:2: a row of 1 cell; expected 2: 'q', 'a'; give"),
    ] {
      try withTask(yaml, rows: rows, named: name) { model, task, _ in
        let error = #expect(throws: ReFTError.self) {
          try TaskEvaluator(model: model).evaluate(task)
        }
        #expect(error?.code == .badData)
        #expect(error?.message.contains(says) == true, "\(error?.message ?? "")")
      }
    }
  }

  @Test("refuses an answer that is none of the options")
  func strangeAnswer() throws {
    let yaml = "task: t\nprompt: \"{q}\"\nchoice: {options: [a, b], answer: \"{a}\"}"
    try withTask(yaml, rows: "{\"q\": \"x\", \"a\": \"c\"}") { model, task, _ in
      let error = #expect(throws: ReFTError.self) { try TaskEvaluator(model: model).evaluate(task) }
      #expect(error?.message.contains("the answer 'c' is none of the 2 options") == true)
    }
  }
}
