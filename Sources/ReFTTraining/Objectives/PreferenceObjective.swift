// SPDX-License-Identifier: Apache-2.0
// Objectives on pairs of answers, of which one was preferred: what of them is learnt is their difference.
//
// With s the log-probability of an answer, the sum over its tokens or their mean, and s° that of the frozen
// model, c the chosen and r the rejected answer of a prompt:
//   dpo:    loss = −log σ(β ((s_c − s°_c) − (s_r − s°_r)))    (Rafailov et al., arXiv 2305.18290)
//   margin: loss = max(0, m − (s_c − s_r))

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor

/// What is asked of pairs of answers.
public struct PreferenceOptions: Sendable, Equatable {
  /// Which loss.
  public enum Kind: String, Sendable, CaseIterable {
    /// Direct preference optimisation against the frozen model.
    case dpo
    /// A hinge on the difference of log-probabilities, without a reference.
    case margin
  }

  /// Which loss.
  public var kind: Kind
  /// `beta`: how much a difference counts in `dpo`; 0.1 by default.
  public var beta = 0.1
  /// `margin`: the difference that is enough in `margin`; 1 by default.
  public var margin = 1.0
  /// `length_normalized`: whether an answer's log-probability is the mean over its tokens; false by
  /// default: their sum.
  public var isLengthNormalized = false

  /// The defaults of a loss.
  public init(_ kind: Kind) { self.kind = kind }
}

/// The loss of a pair, and what an answer's log-probability is worth.
struct PreferenceLoss {
  var loss: Double
  /// The rewards of the chosen and of the rejected answer.
  var rewards: (chosen: Double, rejected: Double)
  /// d loss / d (log-probability of the chosen answer); that of the rejected one has the other sign.
  var slope: Double

  /// The loss of two log-probabilities, given those of the frozen model.
  init(
    _ options: PreferenceOptions,
    _ own: (chosen: Double, rejected: Double),
    reference: (chosen: Double, rejected: Double)
  ) {
    switch options.kind {
    case .dpo:
      let beta = options.beta
      rewards = (beta * (own.chosen - reference.chosen), beta * (own.rejected - reference.rejected))
      let difference = rewards.chosen - rewards.rejected
      // −log σ(x) = log(1 + e^−x), without an e to the power of a large number.
      loss = max(0, -difference) + log1p(exp(-abs(difference)))
      slope = -beta / (1 + exp(difference))
    case .margin:
      rewards = own
      let missing = options.margin - (own.chosen - own.rejected)
      (loss, slope) = missing > 0 ? (missing, -1) : (0, 0)
    }
  }
}

/// The losses of pairs; the frozen model's own log-probabilities are computed once.
final class PreferenceObjective: Objective {
  private let options: PreferenceOptions
  /// What the frozen model says of each pair, by its key.
  private var references: [Int32: (chosen: Double, rejected: Double)] = [:]

  init(_ options: PreferenceOptions) { self.options = options }

  func losses(
    _ batch: MicroBatch,
    _ runtime: any DeviceRuntime,
    _ session: EditSession,
    request: GradientRequest?
  ) throws -> [ExampleLoss] {
    try findReferences(batch, runtime)
    var pairs: [PreferenceLoss] = []
    if let request {
      _ = try runtime.lossAndGradient(batch.packed, editor: session, from: batch.start) { losses in
        pairs = self.pairs(batch, losses)
        return slopes(batch, pairs, scale: Double(request.scale))
      }
    } else {
      let editor = session.isEmpty ? nil : session
      pairs = self.pairs(
        batch,
        try runtime.loss(batch.packed, editor: editor, from: batch.start)
      )
    }
    return pairs.map { pair in
      let rewards = [Float(pair.rewards.chosen), Float(pair.rewards.rejected)]
      return ExampleLoss(sum: pair.loss, labels: 1, outputs: rewards)
    }
  }

  /// Asks the frozen model, where one of the pairs is new.
  private func findReferences(_ batch: MicroBatch, _ runtime: any DeviceRuntime) throws {
    guard options.kind == .dpo, batch.keys.contains(where: { references[$0] == nil }) else {
      return
    }
    let losses = try runtime.loss(batch.packed, editor: nil, from: batch.start)
    for (key, own) in zip(batch.keys, logProbabilities(batch, losses)) { references[key] = own }
  }

  private func pairs(_ batch: MicroBatch, _ losses: [Float]) -> [PreferenceLoss] {
    zip(batch.keys, logProbabilities(batch, losses)).map { key, own in
      PreferenceLoss(options, own, reference: references[key] ?? (0, 0))
    }
  }

  /// The log-probability of both answers of each pair.
  private func logProbabilities(
    _ batch: MicroBatch,
    _ losses: [Float]
  ) -> [(chosen: Double, rejected: Double)] {
    var rest = losses[...]
    func next(_ count: Int) -> Double {
      defer { rest = rest.dropFirst(count) }
      let sum = rest.prefix(count).reduce(0.0) { $0 - Double($1) }
      return options.isLengthNormalized ? sum / Double(count) : sum
    }
    return batch.examples.map { (next($0.answerLengths.chosen), next($0.answerLengths.rejected)) }
  }

  /// The derivative of scale × Σ loss by each label's negative log-likelihood.
  private func slopes(
    _ batch: MicroBatch,
    _ pairs: [PreferenceLoss],
    scale: Double
  ) -> [Float] {
    zip(batch.examples, pairs).flatMap { example, pair -> [Float] in
      let lengths = example.answerLengths
      return [(-1.0, lengths.chosen), (1.0, lengths.rejected)].flatMap { sign, count -> [Float] in
        let share = options.isLengthNormalized ? Double(count) : 1
        return [Float](repeating: Float(sign * scale * pair.slope / share), count: count)
      }
    }
  }
}

extension Example {
  /// How many tokens of each answer are learnt.
  fileprivate var answerLengths: (chosen: Int, rejected: Int) {
    func count(_ labels: [Int32]) -> Int { labels.dropFirst().count { $0 >= 0 } }
    return (count(labels), count(rejected?.labels ?? []))
  }
}

/// How often the chosen answer is the better one, and by how much.
struct PreferenceTally {
  private var pairs = 0
  private var right = 0
  private var sum = 0.0

  init(_ losses: [ExampleLoss]) {
    for loss in losses where loss.outputs.count == 2 {
      let difference = Double(loss.outputs[0]) - Double(loss.outputs[1])
      pairs += 1
      right += difference > 0 ? 1 : 0
      sum += difference
    }
  }

  /// The measures; none without pairs.
  var metrics: [(metric: Metric, value: Double)] {
    guard pairs > 0 else { return [] }
    return [
      (.accuracy, Double(right) / Double(pairs)), (.rewardMargin, sum / Double(pairs)),
    ]
  }
}
