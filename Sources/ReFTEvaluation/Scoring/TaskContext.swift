// SPDX-License-Identifier: Apache-2.0
// What all scorers need: the model, those who are asked, and the task's wording as tokens.

import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText

/// A task before a model.
final class TaskContext {
  let model: LoadedModel
  let contenders: [Contender]
  let task: TaskFile
  let options: TaskEvaluator.Options
  let device: any ComputeDevice
  /// Rows that are shown before the prompt, drawn; one more than wanted where they are the task's own.
  private let shown: [TaskRow]
  /// How many prompts lost their beginning to the model's context.
  private(set) var cutCount = 0

  init(
    model: LoadedModel,
    contenders: [Contender],
    task: TaskFile,
    options: TaskEvaluator.Options,
    device: any ComputeDevice,
    rows: [TaskRow]
  ) throws(ReFTError) {
    self.model = model
    self.contenders = contenders
    self.task = task
    self.options = options
    self.device = device
    shown = try Self.drawn(task, own: rows)
    if !shown.isEmpty, task.shots?.answer == nil, case .head = task.scorer {
      throw ReFTError(.badConfiguration, "a head reads no examples; leave 'few_shot' out")
    }
  }

  /// The longest sequence that the model reads.
  var longest: Int {
    min(model.configuration.contextLength, options.maxLength ?? .max)
  }

  /// What guessing comes to at a row, where the task says it.
  ///
  /// - Throws: `badData` naming the row where it lacks the field with the options.
  func chance(_ row: TaskRow) throws(ReFTError) -> Double? {
    switch task.chance {
    case .oneOf(let field): return 1 / Double(try row.texts(field).count)
    case .value(let value): return value
    case nil: return nil
    }
  }

  // MARK: Rows that are shown

  private static func drawn(_ task: TaskFile, own: [TaskRow]) throws(ReFTError) -> [TaskRow] {
    guard let shots = task.shots, shots.count > 0 else { return [] }
    var rows = own
    if let path = shots.path {
      rows = try task.data.read(path, limit: nil).rows
    }
    let wanted = shots.count + (shots.path == nil ? 1 : 0)
    guard rows.count >= wanted else {
      throw ReFTError(
        .usage,
        "\(shots.count) rows are to be shown before each, and there are \(rows.count) to draw from; "
          + "show fewer, or name a file in 'few_shot'"
      )
    }
    guard let seed = shots.seed else { return Array(rows.prefix(wanted)) }
    let order = CounterRandom(key: seed).permutation(of: rows.count)
    return order.prefix(wanted).map { rows[$0] }
  }

  /// All that stands before a row's own prompt.
  private func head(
    of row: TaskRow,
    answer: (TaskRow) throws(ReFTError) -> String
  ) throws(ReFTError) -> String {
    var text = try task.preamble?.text(row) ?? ""
    guard let shots = task.shots else { return text }
    let others = shots.path == nil ? shown.filter { $0.number != row.number } : shown
    for other in others.prefix(shots.count) {
      text += try task.prompt.text(other)
      let shownAnswer: String
      if let wording = shots.answer {
        shownAnswer = try wording.text(other)
      } else {
        shownAnswer = try answer(other)
      }
      text += task.delimiter + shownAnswer + shots.separator
    }
    return text
  }

  // MARK: Prompts

  /// The text of a row's prompt, and of what stands before it.
  ///
  /// - Parameters:
  ///   - row: the row.
  ///   - answer: how another row is answered, where one is shown.
  /// - Returns: the text.
  /// - Throws: what the wordings throw.
  func prompt(
    _ row: TaskRow,
    answer: (TaskRow) throws(ReFTError) -> String
  ) throws(ReFTError) -> String {
    try head(of: row, answer: answer) + task.prompt.text(row)
  }

  /// What words prompts for a contender.
  func words(_ contender: Int) throws(ReFTError) -> PromptEncoder {
    switch task.template {
    case nil: return PromptEncoder(model.text)
    case .chosen(let template): return PromptEncoder(model.text, template: template)
    case .adapters:
      let name = try contenders[contender].adapters.template()
      let usual = try Template(name ?? "none")
      return PromptEncoder(model.text, usual: usual)
    }
  }

  /// The tokens of a prompt for a contender.
  ///
  /// - Throws: what the template throws, with the row.
  func promptIds(
    _ text: String,
    _ row: TaskRow,
    _ contender: Int
  ) throws(ReFTError) -> [Int32] {
    do throws(ReFTError) {
      let words = try words(contender)
      guard task.template != nil else { return try words.ids(of: .text(text)) }
      return try words.ids(of: .instruction(text, input: ""))
    } catch {
      throw .ofRow(row, error)
    }
  }

  /// The last tokens of a prompt, as many as there is room for.
  func fitted(_ ids: [Int32], room: Int) -> [Int32] {
    guard ids.count > max(1, room) else { return ids }
    cutCount += 1
    return Array(ids.suffix(max(1, room)))
  }

  /// What is worth a word at the end.
  var warnings: [String] {
    guard cutCount > 0 else { return [] }
    return [
      "warning: \(task.name): \(cutCount) prompts were longer than \(longest) tokens, and lost their beginning"
    ]
  }
}

/// How a task is scored on a model.
protocol TaskScoring {
  /// Asks some rows.
  ///
  /// - Parameters:
  ///   - rows: the rows, each with the contender that it is asked of.
  ///   - emit: takes what became of each, in any order.
  /// - Throws: errors with the row's place, and what the model or a plugin throws.
  func ask(
    _ rows: [PendingRow],
    emit: (PendingRow, RowOutcome) throws -> Void
  ) throws

  /// The measures of a contender, the usual one first.
  ///
  /// - Parameters:
  ///   - outcomes: what became of each row, in their order.
  ///   - rows: the rows.
  ///   - contender: whose they are.
  /// - Returns: one for each measure that the outcomes define.
  /// - Throws: `badData` with the row's place for a truth that cannot be one.
  func measures(
    _ outcomes: [RowOutcome],
    rows: [TaskRow],
    contender: Int
  ) throws -> [Measure]
}
