// SPDX-License-Identifier: Apache-2.0
// Perplexity of running texts, in windows that part the text: each token is predicted once, from all
// before it in its window, as lm-evaluation-harness's rolling log-likelihood does it.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText

/// Scores running texts.
struct PerplexityScoring: TaskScoring {
  let rule: PerplexityRule
  let context: TaskContext
  let runner: LikelihoodRunner

  /// The measures.
  static let metrics = [
    "word_perplexity", "token_perplexity", "byte_perplexity", "bits_per_byte",
  ]

  func ask(_ rows: [PendingRow], emit: (PendingRow, RowOutcome) throws -> Void) throws {
    for pending in rows {
      let text = try rule.text.text(pending.row)
      let windows = try windows(text, pending)
      let sums = try runner.logLikelihoods(windows.map { [$0] })
      let sum = sums.reduce(0.0) { $0 + $1[0] }
      guard sum.isFinite else {
        throw context.model.frozen.explainNotFinite()
          ?? .likelihoodNotFinite(pending.row, sum, context.contenders[pending.contender].name)
      }
      var outcome = RowOutcome(pending.row)
      outcome.logLikelihood = sum
      outcome.tokens = windows.reduce(0) { $0 + $1.labels.count }
      outcome.words = Self.words(text)
      outcome.bytes = text.utf8.count
      try emit(pending, outcome)
    }
  }

  /// The windows of a text: the first begins behind the token that begins or ends texts, each other one
  /// behind the last token of the one before.
  private func windows(
    _ text: String,
    _ pending: PendingRow
  ) throws(ReFTError) -> [Continuation] {
    let tokenizer = context.model.tokenizer
    var ids = tokenizer.encode(text, parseSpecial: true, addBOS: false)
    guard !ids.isEmpty else { throw .emptyTaskText(pending.row, "text") }
    if let first = tokenizer.bos ?? tokenizer.eos { ids.insert(first, at: 0) }
    let size = min(rule.window ?? .max, context.longest)
    var windows: [Continuation] = []
    var done = 1
    while done < ids.count {
      let end = min(ids.count, done + size)
      // The last window is filled up with what came before it.
      let start = max(0, end - size - 1)
      windows.append(
        Continuation(
          prompt: Array(ids[start..<done]),
          labels: Array(ids[done..<end]),
          isPromptAll: true,
          adapters: context.contenders[pending.contender].adapters
        )
      )
      done = end
    }
    return windows
  }

  /// Words as Python's `re.split(r"\s+", text)` counts them: white space at an end parts one more off.
  static func words(_ text: String) -> Int {
    var count = 1
    var isSpace = false
    for scalar in text.unicodeScalars {
      if scalar.properties.isWhitespace {
        if !isSpace { count += 1 }
        isSpace = true
      } else {
        isSpace = false
      }
    }
    return count
  }

  func measures(_ outcomes: [RowOutcome], rows: [TaskRow], contender: Int) -> [Measure] {
    let losses = outcomes.map { -($0.logLikelihood ?? 0) }
    func perplexity(_ name: String, _ sizes: [Int]) -> Measure {
      let (mean, error) = Statistics.ratio(losses, over: sizes.map(Double.init))
      return Measure(
        metric: name,
        value: exp(mean),
        standardError: error.map { $0 * exp(mean) }
      )
    }
    let bytes = outcomes.map { $0.bytes ?? 0 }
    let (bits, error) = Statistics.ratio(losses.map { $0 / log(2) }, over: bytes.map(Double.init))
    return [
      perplexity("word_perplexity", outcomes.map { $0.words ?? 0 }),
      perplexity("token_perplexity", outcomes.map { $0.tokens ?? 0 }),
      perplexity("byte_perplexity", bytes),
      Measure(metric: "bits_per_byte", value: bits, standardError: error),
    ]
  }
}
