// SPDX-License-Identifier: Apache-2.0
// Choice by likelihood: the option whose text is the likeliest behind the prompt, as it is (acc), per
// character (acc_norm) and per byte (acc_bytes), as lm-evaluation-harness has them.

import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText

/// Scores options.
struct ChoiceScoring: TaskScoring {
  let rule: ChoiceRule
  let context: TaskContext
  let runner: LikelihoodRunner

  /// The measures.
  static let metrics = ["acc", "acc_norm", "acc_bytes"]

  /// A row's options.
  private struct Question {
    var options: [String]
    var labels: [String]
    /// What the likelihood is of.
    var texts: [String]
    var answer: Int
  }

  func ask(_ rows: [PendingRow], emit: (PendingRow, RowOutcome) throws -> Void) throws {
    var questions: [Question] = []
    var prompts: [String] = []
    var groups: [[Continuation]] = []
    for pending in rows {
      let question = try question(pending.row)
      var group: [Continuation] = []
      for place in question.options.indices {
        let prompt = try prompt(pending.row, question, place)
        if place == question.answer { prompts.append(prompt) }
        group.append(
          try continuation(question.texts[place], behind: prompt, pending)
        )
      }
      questions.append(question)
      groups.append(group)
    }
    let scores = try runner.logLikelihoods(groups)
    for index in rows.indices {
      try emit(
        rows[index],
        try outcome(rows[index], questions[index], prompts[index], scores[index])
      )
    }
  }

  // MARK: Options

  private func question(_ row: TaskRow) throws(ReFTError) -> Question {
    var options: [String] = []
    switch rule.options {
    case .wordings(let wordings): for wording in wordings { options.append(try wording.text(row)) }
    case .list(let wording):
      let node = try wording.value(row)
      guard let texts = node.plainTexts else {
        throw .wrongField(row, "options", found: node.kind, expected: "a list of texts")
      }
      options = texts
    }
    guard options.count > 1 else { throw .tooFewOptions(row, options.count) }
    let answer = try answer(row, options)
    var texts: [String] = []
    for (place, option) in options.enumerated() {
      texts.append(try rule.text?.text(with(row, place, option)) ?? option)
    }
    return Question(options: options, labels: rule.labels, texts: texts, answer: answer)
  }

  /// The row with an option and its label as fields.
  private func with(_ row: TaskRow, _ place: Int, _ option: String) -> TaskRow {
    var row = row
    row.set("option", .text(option))
    row.set("label", .text(rule.labels.indices.contains(place) ? rule.labels[place] : "\(place)"))
    return row
  }

  /// The number of the right option.
  private func answer(_ row: TaskRow, _ options: [String]) throws(ReFTError) -> Int {
    let node = try rule.answer.value(row)
    guard let text = node.plainText else {
      throw .wrongField(row, "answer", found: node.kind, expected: "a text or a number")
    }
    let found: Int? =
      if let label = rule.labels.firstIndex(of: text) {
        label
      } else if case .flag(let flag) = node.content {
        flag ? 1 : 0
      } else if case .text = node.content, let option = options.firstIndex(of: text) {
        option
      } else {
        Int(text)
      }
    guard let found, options.indices.contains(found) else {
      throw .answerOutOfRange(row, found: text, options: options)
    }
    return found
  }

  /// What stands before an option; only a wording that speaks of the option differs between them.
  private func prompt(
    _ row: TaskRow,
    _ question: Question,
    _ place: Int
  ) throws(ReFTError) -> String {
    let asked = context.task.prompt.speaksOfOption ? with(row, place, question.options[place]) : row
    return try context.prompt(asked) { other throws(ReFTError) in
      let shown = try self.question(other)
      return shown.texts[shown.answer]
    }
  }

  // MARK: Tokens

  private func continuation(
    _ option: String,
    behind prompt: String,
    _ pending: PendingRow
  ) throws(ReFTError) -> Continuation {
    let text = context.task.delimiter + option
    var (head, tail): ([Int32], [Int32])
    if rule.isTogether, context.task.template == nil {
      (head, tail) = try together(prompt, text, pending)
    } else {
      head = try context.promptIds(prompt, pending.row, pending.contender)
      tail = context.model.tokenizer.encode(text, parseSpecial: true, addBOS: false)
    }
    guard !tail.isEmpty else { throw .emptyContinuation(pending.row, option) }
    if head.isEmpty {
      guard let first = context.model.tokenizer.bos ?? context.model.tokenizer.eos else {
        throw .emptyTaskText(pending.row, "prompt")
      }
      head = [first]
    }
    head = context.fitted(head, room: context.longest + 1 - tail.count)
    return Continuation(
      prompt: head,
      labels: tail,
      adapters: context.contenders[pending.contender].adapters
    )
  }

  /// The tokens of both together, parted where the prompt's own end; white space at the prompt's end
  /// goes with what follows.
  private func together(
    _ prompt: String,
    _ option: String,
    _ pending: PendingRow
  ) throws(ReFTError) -> ([Int32], [Int32]) {
    var head = prompt[...]
    while head.last?.isWhitespace == true { head.removeLast() }
    let whole = try context.promptIds(prompt + option, pending.row, pending.contender)
    let own = try context.promptIds(String(head), pending.row, pending.contender).count
    return (Array(whole.prefix(own)), Array(whole.dropFirst(own)))
  }

  // MARK: Outcomes

  private func outcome(
    _ pending: PendingRow,
    _ question: Question,
    _ prompt: String,
    _ scores: [Double]
  ) throws(ReFTError) -> RowOutcome {
    if let value = scores.first(where: { !$0.isFinite }) {
      throw context.model.frozen.explainNotFinite()
        ?? .likelihoodNotFinite(pending.row, value, context.contenders[pending.contender].name)
    }
    func isRight(_ sizes: [Int]) -> Double {
      var best = 0
      let values = zip(scores, sizes).map { $0 / Double(max(1, $1)) }
      for place in values.indices where values[place] > values[best] { best = place }
      return best == question.answer ? 1 : 0
    }
    var outcome = RowOutcome(pending.row)
    outcome.prompt = prompt
    outcome.options = question.texts
    outcome.answer = String(question.answer)
    outcome.logLikelihoods = scores
    outcome.chance = try context.chance(pending.row) ?? 1 / Double(question.options.count)
    outcome.scores = [
      "acc": isRight(question.texts.map { _ in 1 }),
      "acc_norm": isRight(question.texts.map(\.unicodeScalars.count)),
      "acc_bytes": isRight(question.texts.map(\.utf8.count)),
    ]
    return outcome
  }

  func measures(_ outcomes: [RowOutcome], rows: [TaskRow], contender: Int) -> [Measure] {
    let chance = Statistics.mean(outcomes.compactMap(\.chance)).value
    return Self.metrics.map { metric in
      let (value, error) = Statistics.mean(outcomes.compactMap { $0.scores[metric] })
      return Measure(metric: metric, value: value, standardError: error, chance: chance)
    }
  }
}
