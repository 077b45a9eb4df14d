// SPDX-License-Identifier: Apache-2.0
// What the sampler draws: limits, ties, penalties, and that it can be repeated.

import Foundation
import ReFTGeneration
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite struct SamplerTests {
  private func next(_ logits: [Float], _ sampler: inout Sampler, history: [Int32] = []) -> Int32 {
    var logits = logits
    return logits.withUnsafeMutableBufferPointer { sampler.next(logits: $0, history: history) }
  }

  /// How often each token is drawn in `count` draws.
  private func frequencies(_ logits: [Float], _ options: SamplingOptions, count: Int) -> [Int32:
    Int]
  {
    var sampler = Sampler(options)
    var frequencies: [Int32: Int] = [:]
    for _ in 0..<count { frequencies[next(logits, &sampler), default: 0] += 1 }
    return frequencies
  }

  @Test("takes the most likely token at temperature 0, the lowest id of equal ones")
  func greedy() {
    var sampler = Sampler(SamplingOptions())
    #expect(next([0, 3, 3, 1], &sampler) == 1)
    #expect(next([-5, -3, -.infinity], &sampler) == 1)
    #expect(next([.nan, -3, .nan], &sampler) == 1)
    #expect(next([.nan, .nan], &sampler) == 0)
    #expect(next([1, .infinity, .infinity], &sampler) == 1)
  }

  @Test("draws tokens as often as their probabilities say")
  func distribution() {
    let counts = frequencies(
      [log(0.5), log(0.3), log(0.2)],
      SamplingOptions(temperature: 1, seed: 1),
      count: 20_000
    )
    #expect(abs(Double(counts[0] ?? 0) / 20_000 - 0.5) < 0.02)
    #expect(abs(Double(counts[1] ?? 0) / 20_000 - 0.3) < 0.02)
    #expect(abs(Double(counts[2] ?? 0) / 20_000 - 0.2) < 0.02)
    let cold = frequencies(
      [log(0.5), log(0.3), log(0.2)],
      SamplingOptions(temperature: 0.5),
      count: 20_000
    )
    #expect(abs(Double(cold[0] ?? 0) / 20_000 - 0.25 / 0.38) < 0.02)
  }

  /// Options, and which tokens they leave of probabilities 0.4, 0.3, 0.2, 0.1 (in mixed order).
  struct Limit: Sendable, CustomTestStringConvertible {
    var options: SamplingOptions
    var left: Set<Int32>
    var testDescription: String { "\(options)" }
  }

  @Test(
    "draws only what the limits leave",
    arguments: [
      Limit(options: .init(temperature: 1), left: [0, 1, 2, 3]),
      Limit(options: .init(temperature: 1, topK: 1), left: [2]),
      Limit(options: .init(temperature: 1, topK: 2), left: [2, 0]),
      Limit(options: .init(temperature: 1, topK: 3), left: [2, 0, 3]),
      Limit(options: .init(temperature: 1, topK: 9), left: [0, 1, 2, 3]),
      Limit(options: .init(temperature: 1, topP: 0.01), left: [2]),
      Limit(options: .init(temperature: 1, topP: 0.39), left: [2]),
      Limit(options: .init(temperature: 1, topP: 0.41), left: [2, 0]),
      Limit(options: .init(temperature: 1, topP: 0.89), left: [2, 0, 3]),
      Limit(options: .init(temperature: 1, topP: 0.95), left: [0, 1, 2, 3]),
      Limit(options: .init(temperature: 1, topK: 2, topP: 0.5), left: [2]),
      Limit(options: .init(temperature: 1, minP: 0.3), left: [2, 0, 3]),
      Limit(options: .init(temperature: 1, minP: 0.6), left: [2, 0]),
      Limit(options: .init(temperature: 1, minP: 1), left: [2]),
    ]
  )
  func limits(limit: Limit) {
    let logits: [Float] = [log(0.3), log(0.1), log(0.4), log(0.2)]
    #expect(Set(frequencies(logits, limit.options, count: 500).keys) == limit.left)
  }

  @Test("keeps the lower ids of tokens that are equally likely")
  func ties() {
    let logits = [Float](repeating: 1, count: 100)
    #expect(Set(frequencies(logits, .init(temperature: 1, topK: 3), count: 200).keys) == [0, 1, 2])
    #expect(Set(frequencies(logits, .init(temperature: 1, topP: 0.02), count: 200).keys) == [0, 1])
  }

  @Test("agrees with a plain sort on random logits")
  func agreesWithSort() {
    var random = SeededGenerator(seed: 8)
    for round in 0..<50 {
      let logits = random.normals(500, scale: 3)
      let (k, p) = (1 + Int(random.next() % 60), Double(random.uniform()) * 0.98 + 0.01)
      let order = logits.indices.sorted { (-logits[$0], $0) < (-logits[$1], $1) }.prefix(k)
      let weights = order.map { exp(Double(logits[$0] - logits[order[0]])) }
      var (sum, left) = (0.0, Set<Int32>())
      for (id, weight) in zip(order, weights) where sum < p * weights.reduce(0, +) {
        left.insert(Int32(id))
        sum += weight
      }
      let drawn = frequencies(
        logits,
        .init(temperature: 1, topK: k, topP: p, seed: UInt64(round)),
        count: 300
      )
      #expect(Set(drawn.keys).isSubset(of: left), "top-k \(k), top-p \(p)")
    }
  }

  @Test("repeats its draws for the same seed, and draws otherwise for another")
  func repeats() {
    let logits = [Float](repeating: 0, count: 1_000)
    func draws(_ seed: UInt64) -> [Int32] {
      var sampler = Sampler(.init(temperature: 1, seed: seed))
      return (0..<20).map { _ in next(logits, &sampler) }
    }
    #expect(draws(4) == draws(4))
    #expect(draws(4) != draws(5))
    #expect(Set(draws(4)).count > 10)
  }

  @Test("makes past tokens less likely, whatever the sign of their logits")
  func penalty() {
    var sampler = Sampler(.init(temperature: 0, repetitionPenalty: 2))
    #expect(next([3, 2, 0], &sampler, history: []) == 0)
    #expect(next([3, 2, 0], &sampler, history: [0, 0, 0]) == 1, "3 / 2 is less than 2, once")
    #expect(next([3, 2, 0], &sampler, history: [0, 1]) == 0)
    #expect(next([-1, -1.5], &sampler, history: [0]) == 1)
    #expect(next([1, 2], &sampler, history: [-1, 77]) == 1, "ids outside are passed over")
  }

  @Test("survives logits that no model should give")
  func survives() {
    var sampler = Sampler(.init(temperature: 0.7, topK: 5, topP: 0.9, minP: 0.1))
    #expect(next([.nan, .nan], &sampler) == 0)
    #expect(next([-.infinity, -.infinity], &sampler) == 0)
    #expect(next([.infinity, 1], &sampler) == 0)
    #expect(next([.nan, 2, -.infinity], &sampler) == 1)
    var frozen = Sampler(.init(temperature: 1e-300))
    #expect(next([1, 2, 2], &frozen) > 0)
  }

  @Test("refuses options out of range, naming them")
  func validates() throws {
    let cases: [(SamplingOptions, String)] = [
      (
        .init(temperature: -1),
        "temperature is -1.0; expected 0 or more; choose a value in this range"
      ),
      (
        .init(temperature: .nan),
        "temperature is nan; expected 0 or more; choose a value in this range"
      ),
      (
        .init(temperature: 1, topK: -1),
        "top-k is -1.0; expected 0 (no limit) or more; choose a value in this range"
      ),
      (
        .init(temperature: 1, topP: 0),
        "top-p is 0.0; expected above 0 and at most 1; choose a value in this range"
      ),
      (
        .init(temperature: 1, minP: 1.5),
        "min-p is 1.5; expected 0 to 1; choose a value in this range"
      ),
      (
        .init(temperature: 1, repetitionPenalty: 0),
        "repetition-penalty is 0.0; expected 0.001 to 1000; choose a value in this range"
      ),
    ]
    for (options, message) in cases {
      let error = try #require(throws: ReFTError.self) { try options.validate() }
      #expect(error.code == .usage && error.message == message)
    }
    try SamplingOptions().validate()
  }

  @Test("reads options from JSON with defaults for absent ones")
  func readsJSON() throws {
    let options = try JSONDecoder().decode(
      SamplingOptions.self,
      from: Data(#"{"temperature": 0.5, "top_k": 4}"#.utf8)
    )
    #expect(options == SamplingOptions(temperature: 0.5, topK: 4))
  }
}
