// SPDX-License-Identifier: Apache-2.0
// How training and generation grow with the number of threads.

public import ReFTHost
public import ReFTTensor

/// Measures the same works with several numbers of threads.
public struct ScalingBenchmark {
  /// What is measured.
  public struct Options: Sendable {
    /// The training step.
    public var training = TrainingBenchmark.Options()
    /// Tokens of the prompt that is read, and that decoded tokens follow.
    public var promptTokens = 512
    /// Tokens that are decoded.
    public var tokens = 64
    /// Sequences that are decoded at once, besides one alone.
    public var sequences = 8
    /// How many runs of each work are measured; the median counts.
    public var runs = 3

    /// The defaults, those of the single benchmarks.
    public init() {}
  }

  /// The rates with one number of threads, in tokens per second.
  public struct Row: Sendable {
    /// How many threads worked.
    public var threads: Int
    /// What these can do at most.
    public var peaks: Machine.Peaks
    /// Training, forward and backward, with its floating-point operations per second.
    public var training: (tokensPerSecond: Double, flops: Double)
    /// Reading a prompt.
    public var prefill: (tokensPerSecond: Double, flops: Double)
    /// Making the tokens of one sequence, with the bytes of weights that are read per second.
    public var decode: (tokensPerSecond: Double, bytesPerSecond: Double)
    /// Making those of several sequences at once.
    public var batchTokensPerSecond: Double
  }

  private let model: LoadedModel
  private let catalog: PluginCatalog

  /// Prepares measurements of a model with the plugins of a catalogue.
  public init(model: LoadedModel, catalog: PluginCatalog) {
    (self.model, self.catalog) = (model, catalog)
  }

  /// The numbers of threads that tell how a machine scales: powers of two, and all processors.
  public static func threadCounts(processors: Int) -> [Int] {
    var counts: [Int] = []
    var count = 1
    while count < processors {
      counts.append(count)
      count *= 2
    }
    return counts + [processors]
  }

  /// Measures all works with one number of threads.
  ///
  /// - Throws: what the works throw for a model, layers or lengths that do not fit.
  public func run(threads: Int, _ options: Options = Options()) throws -> Row {
    let pool = ThreadPool(threadCount: threads)
    var step = options.training
    step.steps = options.runs
    let training = try TrainingBenchmark(model: model, catalog: catalog, pool: pool).run(step)
    let inference = try InferenceBenchmark(model: model.frozen, pool: pool)
    let prefill = try inference.prefill(tokens: options.promptTokens, runs: options.runs)
    let decode = { (sequences: Int) in
      try inference.decode(
        after: options.promptTokens,
        tokens: options.tokens,
        sequences: sequences,
        runs: options.runs
      )
    }
    let one = try decode(1)
    let batch = try decode(options.sequences)
    return Row(
      threads: threads,
      peaks: Machine.measurePeaks(pool: pool),
      training: (training.tokensPerSecond, training.flops),
      prefill: (prefill.tokensPerSecond, prefill.flops),
      decode: (one.tokensPerSecond, one.bytesPerSecond),
      batchTokensPerSecond: batch.tokensPerSecond
    )
  }
}
