// SPDX-License-Identifier: Apache-2.0
// How fast prompts are read and tokens are made, without edits.

import Foundation
public import ReFTModel
public import ReFTTensor

/// Measures generation with a model on this machine.
public struct InferenceBenchmark {
  /// One measured rate.
  public struct Result: Sendable {
    /// Tokens that one run processed.
    public var tokens: Int
    /// The median seconds of a run.
    public var seconds: Double
    /// Tokens per second of the median run.
    public var tokensPerSecond: Double
    /// Floating-point operations per second, by the model's shape.
    public var flops: Double
    /// Bytes of weights read per second; zero where a run reads them for many tokens at once.
    public var bytesPerSecond: Double
    /// Where the time of one more run went; nil where the device does not say.
    public var profile: WorkProfile?
  }

  private let model: FrozenModel
  private let pass: any DeviceRuntime

  /// Prepares measurements of a model.
  ///
  /// - Parameters:
  ///   - model: the frozen model.
  ///   - precision: of the activations of decoded tokens.
  ///   - pool: the threads that do the work, where no device is given.
  ///   - device: where the model runs; nil for the processor.
  /// - Throws: what the device reports.
  public init(
    model: FrozenModel,
    precision: DecodePrecision = .int16,
    pool: ThreadPool = .shared,
    device: (any ComputeDevice)? = nil
  ) throws(ReFTError) {
    self.model = model
    pass =
      try device?.makeRuntime(model, for: .generation, precision: precision)
      ?? ModelRuntime(model: model, precision: precision, pool: pool)
  }

  /// Measures how fast a prompt of `tokens` is read, to its first logits.
  ///
  /// - Throws: `badData` when the model's context is shorter.
  public func prefill(tokens: Int, runs: Int = 5) throws -> Result {
    let cache = try pass.makeSequenceCache(capacity: tokens)
    let prompt = promptTokens(tokens)
    let run = {
      try cache.truncate(to: 0)
      _ = try step([cache], [prompt])
    }
    let seconds = try median(runs: runs, run)
    let work = ModelArithmetic(model.configuration).prefill(tokens: tokens)
    return Result(
      tokens: tokens,
      seconds: seconds,
      tokensPerSecond: Double(tokens) / seconds,
      flops: work / seconds,
      bytesPerSecond: 0,
      profile: try profile(run)
    )
  }

  /// Measures how fast `tokens` tokens are made after a prompt, for several sequences at once.
  ///
  /// - Parameters:
  ///   - past: tokens of each sequence before.
  ///   - tokens: how many are made.
  ///   - sequences: how many at once.
  ///   - runs: how many runs are measured; the median counts.
  /// - Returns: the rate.
  /// - Throws: `badData` when the model's context is shorter.
  public func decode(
    after past: Int,
    tokens: Int,
    sequences: Int = 1,
    runs: Int = 5
  ) throws -> Result {
    let caches = try (0..<sequences).map { _ in try pass.makeSequenceCache(capacity: past + tokens)
    }
    let prompt = promptTokens(past)
    let rewind = { for cache in caches { try self.rewind(cache, to: prompt) } }
    let run = {
      for index in 0..<tokens {
        let token = prompt[index % prompt.count]
        try decode(caches, token)
      }
    }
    let seconds = try median(runs: runs, before: rewind, run)
    try rewind()
    let arithmetic = ModelArithmetic(model.configuration)
    let work = (0..<tokens).reduce(0.0) { $0 + arithmetic.decode(past: past + $1) }
    let count = tokens * sequences
    return Result(
      tokens: count,
      seconds: seconds,
      tokensPerSecond: Double(count) / seconds,
      flops: work * Double(sequences) / seconds,
      bytesPerSecond: Double(model.weightByteCount * tokens) / seconds,
      profile: try profile(run)
    )
  }

  /// Leaves a cache with a prompt alone.
  ///
  /// Blocks with a window may have given back the keys that the prompt's end sees; then it is read again.
  private func rewind(_ cache: any SequenceCache, to prompt: [Int32]) throws {
    if cache.count > prompt.count + CachePages.tokenCount { try cache.truncate(to: 0) }
    if cache.count > 0 { return try cache.truncate(to: prompt.count) }
    _ = try step([cache], [prompt])
  }

  /// The median seconds of decoded tokens with each of several editors, which take turns.
  ///
  /// - Parameters:
  ///   - past: tokens of the sequence before.
  ///   - tokens: how many a turn makes.
  ///   - runs: how many turns each has.
  ///   - editors: give the edits of a step by its token's position.
  /// - Returns: seconds per token, in the order of the editors.
  /// - Throws: what an editor throws.
  package func compareDecoding(
    after past: Int,
    tokens: Int,
    runs: Int,
    editors: [(_ position: Int) throws -> any HiddenStateEditor]
  ) throws -> [Double] {
    let cache = try pass.makeSequenceCache(capacity: past + tokens)
    let prompt = promptTokens(past)
    let rewind = { try self.rewind(cache, to: prompt) }
    return try Self.medians(count: editors.count, runs: runs, before: rewind) { place in
      for index in 0..<tokens {
        let editor = try editors[place](past + index)
        _ = try step([cache], [[prompt[index % prompt.count]]], editor: editor)
      }
    }.map { $0 / Double(tokens) }
  }

  /// The median seconds of each of several works that take turns, after one turn that warms up.
  ///
  /// - Parameters:
  ///   - count: how many works.
  ///   - runs: how many turns each has.
  ///   - prepare: comes before each turn, and does not count.
  ///   - work: does the work of a number.
  /// - Returns: seconds by number.
  /// - Throws: what the works throw.
  package static func medians(
    count: Int,
    runs: Int,
    before prepare: () throws -> Void = {},
    _ work: (_ place: Int) throws -> Void
  ) throws -> [Double] {
    var times = [[Double]](repeating: [], count: count)
    for run in 0...max(1, runs) {
      // Every other round the other way around, so that a drift of the machine favours nobody.
      for turn in 0..<count {
        let place = run % 2 == 0 ? turn : count - 1 - turn
        try prepare()
        let start = DispatchTime.now().uptimeNanoseconds
        try work(place)
        let seconds = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
        if run > 0 { times[place].append(seconds) }
      }
    }
    return times.map { $0.sorted()[$0.count / 2] }
  }

  /// One greedy step, whose choice is left to the device where it makes it.
  private func decode(_ caches: [any SequenceCache], _ token: Int32) throws {
    let sequences = caches.map { SequenceStep(cache: $0, tokens: [token]) }
    if try pass.likeliestTokens(sequences: sequences, editor: nil) == nil {
      _ = try pass.step(sequences: sequences, editor: nil)
    }
  }

  private func step(
    _ caches: [any SequenceCache],
    _ tokens: [[Int32]],
    editor: (any HiddenStateEditor)? = nil
  ) throws -> UnsafeMutableBufferPointer<Float> {
    let sequences = zip(caches, tokens).map { SequenceStep(cache: $0, tokens: $1) }
    return try pass.step(sequences: sequences, editor: editor)
  }

  private func profile(_ body: () throws -> Void) throws -> WorkProfile? {
    try (pass as? ModelRuntime)?.profile(body)
  }

  private func promptTokens(_ count: Int) -> [Int32] {
    let vocabulary = model.configuration.vocabularySize
    return (0..<count).map { Int32(($0 * 7919 + 17) % vocabulary) }
  }

  /// The median seconds of several runs after one that warms up.
  private func median(
    runs: Int,
    before prepare: () throws -> Void = {},
    _ body: () throws -> Void
  ) throws -> Double {
    try Self.medians(count: 1, runs: runs, before: prepare) { _ in try body() }[0]
  }
}
