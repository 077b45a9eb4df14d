// SPDX-License-Identifier: Apache-2.0
// Generation: what is written, what of it is the answer, and whether that is right. All contenders write
// in one batch.

import ReFTGeneration
import ReFTModel
import ReFTTensor
import ReFTText

/// Scores replies.
struct GenerationScoring: TaskScoring {
  let rule: GenerationRule
  let context: TaskContext
  let batch: GenerationBatch

  func ask(_ rows: [PendingRow], emit: (PendingRow, RowOutcome) throws -> Void) throws {
    var waiting: [Int: (pending: PendingRow, prompt: String)] = [:]
    for pending in rows {
      let (prompt, request) = try request(pending)
      do throws(ReFTError) {
        let number = try batch.submit(request)
        waiting[number] = (pending, prompt)
      } catch {
        throw ReFTError.ofRow(pending.row, error)
      }
    }
    while !batch.isIdle {
      for event in batch.step() {
        switch event {
        case .text: break
        case .failed(let number, let error):
          guard let (pending, _) = waiting[number] else { throw error }
          throw ReFTError.ofRow(pending.row, error)
        case .finished(let number, let result):
          guard let (pending, prompt) = waiting.removeValue(forKey: number) else { continue }
          try emit(pending, try outcome(pending.row, prompt, result))
        }
      }
    }
  }

  private func request(
    _ pending: PendingRow
  ) throws(ReFTError) -> (prompt: String, request: GenerationRequest) {
    let prompt = try context.prompt(pending.row) { other throws(ReFTError) in
      try rule.answer.text(other)
    }
    let ids = try context.promptIds(prompt, pending.row, pending.contender)
    guard !ids.isEmpty else { throw .emptyTaskText(pending.row, "prompt") }
    // A prompt that fits stays whole, and the reply has what is left; else half is the prompt's end.
    let room = ids.count < context.longest ? ids.count : context.longest / 2
    let request = GenerationRequest(
      .ids(context.fitted(ids, room: room)),
      maxTokens: max(1, min(rule.maxTokens, context.longest - room)),
      sampling: rule.sampling,
      stop: rule.stop,
      adapters: context.contenders[pending.contender].adapters
    )
    return (prompt, request)
  }

  private func outcome(
    _ row: TaskRow,
    _ prompt: String,
    _ result: GenerationResult
  ) throws(ReFTError) -> RowOutcome {
    var outcome = RowOutcome(row)
    outcome.prompt = prompt
    outcome.reply = result.text
    outcome.replyTokens = result.ids.count
    if let outputs = rule.outputs {
      outcome.answer = try outputs.instruction.text(row)
      outcome.scores["reply_tokens"] = Double(result.ids.count)
      return outcome
    }
    let truth = try rule.answer.text(row)
    outcome.answer = truth
    var extracted: [String: String] = [:]
    for extraction in rule.extractions {
      let answer = try extraction.answer(in: result.text)
      extracted[extraction.name] = answer
      let isRight = try rule.normaliser.agree(answer, truth)
      outcome.scores[Self.metric(extraction)] = isRight ? 1 : 0
    }
    outcome.extracted = extracted
    outcome.chance = try context.chance(row)
    return outcome
  }

  /// The measures of a rule.
  static func metrics(_ rule: GenerationRule) -> [String] {
    rule.outputs == nil ? rule.extractions.map(metric) : ["reply_tokens"]
  }

  private static func metric(_ extraction: Extraction) -> String {
    extraction.name.isEmpty ? "exact_match" : "exact_match,\(extraction.name)"
  }

  func measures(_ outcomes: [RowOutcome], rows: [TaskRow], contender: Int) -> [Measure] {
    let chances = outcomes.compactMap(\.chance)
    let chance = chances.isEmpty ? nil : Statistics.mean(chances).value
    return Self.metrics(rule).map { metric in
      let (value, error) = Statistics.mean(outcomes.compactMap { $0.scores[metric] })
      return Measure(metric: metric, value: value, standardError: error, chance: chance)
    }
  }
}
