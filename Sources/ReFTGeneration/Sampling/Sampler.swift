// SPDX-License-Identifier: Apache-2.0
// Chooses the next token from logits. The order of the steps is that of Hugging Face's generate:
// repetition penalty, temperature, top-k, top-p, min-p, draw.

import Foundation
import ReFTTensor

/// Draws one sequence's tokens; what it draws depends on options, logits and history alone.
///
/// The n-th draw uses the n-th random number of the seed's stream, so that neither other sequences
/// nor the machine's speed can change a text.
public struct Sampler: Sendable {
  /// The options in force.
  public let options: SamplingOptions
  /// How many tokens have been chosen.
  public private(set) var drawCount: UInt64 = 0

  private var candidates: [Candidate] = []

  /// Starts a sequence.
  ///
  /// - Precondition: the options are valid, see `SamplingOptions.validate`.
  public init(_ options: SamplingOptions) { self.options = options }

  /// Chooses the next token; NaN counts as −∞.
  ///
  /// - Parameters:
  ///   - logits: one number per token of the vocabulary; the repetition penalty changes them.
  ///   - history: the tokens so far, prompt included, for the repetition penalty.
  /// - Returns: the id of the token; the lowest of equally good ones when greedy.
  /// - Precondition: `logits` is not empty.
  public mutating func next(
    logits: UnsafeMutableBufferPointer<Float>,
    history: [Int32]
  ) -> Int32 {
    if options.repetitionPenalty != 1 { penalise(logits, history) }
    let best = Self.argmax(logits)
    defer { drawCount += 1 }
    guard !options.isGreedy, logits[Int(best)].isFinite else { return best }
    collect(logits, best: logits[Int(best)])
    if options.topP < 1 { cutToNucleus() }
    if options.minP > 0 { candidates.removeAll { $0.weight < options.minP } }
    return draw() ?? best
  }

  /// The index of the largest number, the lowest of equal ones; NaN counts as −∞.
  public static func argmax(_ logits: UnsafeMutableBufferPointer<Float>) -> Int32 {
    var best = 0
    var value = -Float.infinity
    for index in logits.indices where logits[index] > value {
      best = index
      value = logits[index]
    }
    return Int32(best)
  }

  /// Divides the logits of past tokens by the penalty where positive, multiplies them where negative
  /// (Keskar et al., 2019, arXiv 1909.05858); each token once.
  private func penalise(_ logits: UnsafeMutableBufferPointer<Float>, _ history: [Int32]) {
    let penalty = Float(options.repetitionPenalty)
    for id in Set(history) where id >= 0 && Int(id) < logits.count {
      let logit = logits[Int(id)]
      logits[Int(id)] = logit > 0 ? logit / penalty : logit * penalty
    }
  }

  /// Takes all tokens, or the top k, and weighs them relative to the best one, whose weight is 1.
  private mutating func collect(_ logits: UnsafeMutableBufferPointer<Float>, best: Float) {
    candidates.removeAll(keepingCapacity: true)
    for index in logits.indices where logits[index] > -Float.infinity {
      candidates.append(Candidate(id: Int32(index), logit: logits[index]))
    }
    if options.topK > 0, options.topK < candidates.count {
      keepGreatest(options.topK)
      candidates.sort { $0.isBetter(than: $1) }
    }
    for index in candidates.indices {
      let distance = Double(candidates[index].logit - best)
      candidates[index].weight = exp(distance / options.temperature)
    }
  }

  /// Keeps the `count` best candidates, by a heap with the worst of them on top.
  private mutating func keepGreatest(_ count: Int) {
    for parent in stride(from: count / 2 - 1, through: 0, by: -1) { sift(parent, count) }
    for index in count..<candidates.count where candidates[index].isBetter(than: candidates[0]) {
      candidates[0] = candidates[index]
      sift(0, count)
    }
    candidates.removeLast(candidates.count - count)
  }

  private mutating func sift(_ start: Int, _ count: Int) {
    let value = candidates[start]
    var parent = start
    while true {
      var child = parent * 2 + 1
      guard child < count else { break }
      if child + 1 < count, candidates[child].isBetter(than: candidates[child + 1]) { child += 1 }
      guard value.isBetter(than: candidates[child]) else { break }
      candidates[parent] = candidates[child]
      parent = child
    }
    candidates[parent] = value
  }

  /// Keeps the fewest best candidates whose weights reach the share `topP` of all, at least one.
  private mutating func cutToNucleus() {
    let total = candidates.reduce(0) { $0 + $1.weight }
    // All candidates under the share (1 − p) / n weigh less than 1 − p together, so the nucleus is
    // complete without them; leaving them out spares sorting the whole vocabulary.
    let least = total * (1 - options.topP) / Double(candidates.count) * 0.999
    candidates.removeAll { $0.weight < least }
    candidates.sort { $0.isBetter(than: $1) }
    var sum = 0.0
    let end = candidates.firstIndex { candidate in
      sum += candidate.weight
      return sum >= total * options.topP
    }
    if let end { candidates.removeLast(candidates.count - end - 1) }
  }

  private func draw() -> Int32? {
    let bits = CounterRandom(key: options.seed, step: drawCount).bits(offset: 0)
    let total = candidates.reduce(0) { $0 + $1.weight }
    let target = Double(bits >> 11) * 0x1p-53 * total
    var sum = 0.0
    for candidate in candidates {
      sum += candidate.weight
      if sum > target { return candidate.id }
    }
    return candidates.last { $0.weight > 0 }?.id
  }
}

/// A token that may be drawn.
private struct Candidate: Sendable {
  var id: Int32
  var logit: Float
  var weight: Double = 0

  /// Whether it goes before `other`: the higher logit, and of equal ones the lower id.
  func isBetter(than other: Candidate) -> Bool {
    logit != other.logit ? logit > other.logit : id < other.id
  }
}
