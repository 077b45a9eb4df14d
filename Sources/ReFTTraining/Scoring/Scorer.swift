// SPDX-License-Identifier: Apache-2.0
// How well a model, with or without an adapter, predicts given rows.

import Foundation
public import ReFTHost
public import ReFTModel
public import ReFTTensor
public import ReFTText

/// The losses of the rows of a file.
public struct Score: Sendable {
  /// The loss of one row.
  public struct Row: Encodable, Sendable, Equatable {
    /// The mean over its label tokens, in nats; nil where it has none.
    public var loss: Double?
    /// The number of its label tokens.
    public var tokens: Int
    /// What a head answered; nil where there is none.
    public var answer: Answer?

    private enum CodingKeys: CodingKey { case loss, tokens, prediction, outputs }

    /// Writes the keys; a loss that is not there is null.
    public func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(loss, forKey: .loss)
      try container.encode(tokens, forKey: .tokens)
      guard let answer else { return }
      try container.encode(answer.outputs, forKey: .outputs)
      switch answer.prediction {
      case .label(let label):
        if answer.labels.names == nil { return try container.encode(label, forKey: .prediction) }
        try container.encode(answer.labels.name(of: label), forKey: .prediction)
      case .labels(let holds):
        let names = holds.indices.filter { holds[$0] }.map { answer.labels.name(of: $0) }
        try container.encode(names, forKey: .prediction)
      case .value(let value): try container.encode(value, forKey: .prediction)
      }
    }
  }

  /// What a head answered for a row.
  public struct Answer: Sendable, Equatable {
    /// Its outputs, one for each label.
    public var outputs: [Float]
    /// What they mean.
    public var prediction: Prediction
    /// The labels.
    public var labels: LabelSet
  }

  /// The mean over all label tokens of the file, in nats; of a head's answers over the rows.
  public var loss: Double
  /// The number of label tokens.
  public var tokens: Int
  /// All rows that were read, in the order of the file; those with nothing to score have no loss.
  public var rows: [Row]
  /// What a head's answers are worth; nil where there is none.
  public var metrics: MetricValues?
  /// The auxiliary loss of the adapter's plugins, weighted, as the mean over rows with labels; nil where
  /// none has one.
  public var auxiliary: Double?

  /// e to the loss.
  public var perplexity: Double { exp(loss) }

  init(_ losses: [ExampleLoss], of data: DataSet, head: HeadSpec?, auxiliary: Double?) {
    self.auxiliary = auxiliary
    tokens = losses.reduce(0) { $0 + $1.labels }
    loss = losses.reduce(0.0) { $0 + $1.sum } / Double(max(1, tokens))
    rows = [Row](repeating: Row(loss: nil, tokens: 0), count: data.account.rows)
    for (number, loss) in zip(data.rowNumbers, losses) {
      let answer = head.map { head in
        Answer(
          outputs: loss.outputs,
          prediction: Prediction(outputs: loss.outputs, task: head.task),
          labels: head.labels
        )
      }
      rows[number] = Row(
        loss: loss.sum / Double(loss.labels),
        tokens: loss.labels,
        answer: answer
      )
    }
    metrics = head.map { MetricValues(MetricTally($0, data, losses).metrics) }
  }
}

/// The derivative of a score by each parameter of the adapter.
public struct ScoreGradients: Sendable {
  /// d loss / d parameter, with the names of the adapter file.
  public var tensors: [NamedTensor]
  /// The L2 norm of each tensor, by name.
  public var norms: [String: Double]
}

/// Scores data.
public struct Scorer {
  private let runner: BatchRunner
  private let adapters: AdapterStack
  private let model: FrozenModel
  private let head: HeadSpec?

  /// Prepares scoring.
  ///
  /// - Parameters:
  ///   - model: the frozen model.
  ///   - adapters: its edits; none score the model as it is.
  ///   - microBatchTokens: the most tokens of one pass; a longer row has a pass of its own.
  ///   - device: where the model runs.
  ///   - precision: `float32` asks the device for float32 arithmetic.
  ///   - trace: is told what edits change, under the indices of the examples; nil where nobody asks.
  public init(
    model: LoadedModel,
    adapters: AdapterStack,
    microBatchTokens: Int = 1024,
    device: any ComputeDevice = ProcessorDevice.shared,
    precision: DecodePrecision = .int16,
    trace: EditTrace? = nil
  ) {
    self.adapters = adapters
    self.model = model.frozen
    head = adapters.answeringHead?.spec ?? model.ownHead
    runner = BatchRunner(
      model: model.frozen,
      adapters: adapters,
      budget: microBatchTokens,
      device: device,
      precision: precision
    )
    runner.trace = trace
  }

  /// Prepares scoring with one adapter, or none.
  public init(
    model: LoadedModel,
    adapter: Adapter?,
    microBatchTokens: Int = 1024,
    device: any ComputeDevice = ProcessorDevice.shared,
    precision: DecodePrecision = .int16
  ) {
    self.init(
      model: model,
      adapters: AdapterStack(adapter),
      microBatchTokens: microBatchTokens,
      device: device,
      precision: precision
    )
  }

  /// Which rows the adapters leave alone.
  ///
  /// - Returns: what is worth a word, in sentences.
  /// - Throws: what a position rule says of a row that lacks what it looks for, with the place of the
  ///   row.
  public func check(_ data: DataSet, tokenizer: Tokenizer) throws(ReFTError) -> [String] {
    try data.checkEdits(adapters.specs, tokenizer: tokenizer, mustEdit: false).notes
      + data.checkSources(adapters)
  }

  /// Scores rows.
  ///
  /// - Parameters:
  ///   - data: the rows.
  ///   - progress: receives the number of rows done.
  /// - Returns: the losses.
  /// - Throws: `badData` for a loss that is no finite number, naming the tensor to blame; what the
  ///   model or a plugin throws.
  public func score(_ data: DataSet, progress: (Int) -> Void = { _ in }) throws -> Score {
    var losses: [ExampleLoss] = []
    var sum = 0.0
    for chunk in chunks(of: data) {
      losses += try runner.losses(Array(data.examples[chunk]), keys: Array(chunk))
      sum += runner.auxiliarySum
      try checkFinite(losses, from: chunk.lowerBound, of: data)
      progress(chunk.upperBound)
    }
    return Score(losses, of: data, head: head, auxiliary: auxiliary(sum, of: data))
  }

  /// The mean over rows of a sum of auxiliary losses; nil where there are none.
  private func auxiliary(_ sum: Double, of data: DataSet) -> Double? {
    guard adapters.parts.contains(where: \.adapter.hasAuxiliaryLoss) else { return nil }
    return sum / Double(max(1, data.examples.count))
  }

  /// What the head, or the model's own, answers to texts that need no target.
  ///
  /// - Returns: the outputs of each text, in their order.
  /// - Throws: what the model or a plugin throws.
  package func answers(to examples: [Example]) throws -> [[Float]] {
    try runner.losses(examples, keys: Array(examples.indices)).map(\.outputs)
  }

  /// Scores rows, and differentiates the loss by the adapter's parameters.
  ///
  /// - Parameters:
  ///   - data: the rows.
  ///   - progress: receives the number of rows done.
  /// - Returns: the losses and the derivatives of their mean over all label tokens, plus the mean
  ///   auxiliary loss of the rows.
  /// - Throws: `usage` without an adapter, or with one that draws random numbers; what the model or a
  ///   plugin throws.
  public func scoreWithGradients(
    _ data: DataSet,
    progress: (Int) -> Void = { _ in }
  ) throws -> (Score, ScoreGradients) {
    guard let adapter = adapters.only else {
      throw ReFTError.gradientsNeedAdapter(found: adapters.parts.count)
    }
    let store = adapter.parameters
    let gradients = store.makeGradients()
    try refuseRandom(adapter, data)
    let labels = data.account.labels
    var losses: [ExampleLoss] = []
    var sum = 0.0
    for chunk in chunks(of: data) {
      losses += try runner.lossesAndGradients(
        Array(data.examples[chunk]),
        keys: Array(chunk),
        gradients: gradients,
        scale: Float(1 / Double(labels)),
        auxiliaryScale: 1 / Double(data.examples.count)
      )
      sum += runner.auxiliarySum
      try checkFinite(losses, from: chunk.lowerBound, of: data)
      progress(chunk.upperBound)
    }
    var norms: [String: Double] = [:]
    let tensors = store.infos.enumerated().map { index, info in
      let values = Array(store.slice(of: gradients, index))
      norms[info.name] = values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      return NamedTensor(name: info.name, shape: info.shape, values: values)
    }
    return (
      Score(losses, of: data, head: head, auxiliary: auxiliary(sum, of: data)),
      ScoreGradients(tensors: tensors, norms: norms)
    )
  }

  /// Refuses an adapter whose training losses change with the random key, where a plugin of it does not
  /// promise otherwise: a few rows show it.
  private func refuseRandom(_ adapter: Adapter, _ data: DataSet) throws {
    let drawing = adapter.units.filter(\.instance.dependsOnSequence)
    guard !drawing.isEmpty else { return }
    let rows = Array(data.examples.prefix(8))
    let unused = adapter.parameters.makeGradients()
    let losses = try [(0, 0), (0x5EED, 1)].map { key, step in
      try runner.lossesAndGradients(
        rows,
        keys: Array(rows.indices),
        gradients: unused,
        scale: 0,
        auxiliaryScale: 0,
        random: (key, step)
      )
    }
    try checkFinite(losses[0], from: 0, of: data)
    guard losses[0] == losses[1] else {
      throw ReFTError.gradientsOfRandomNumbers(plugins: Set(drawing.map(\.plugin.name)).sorted())
    }
  }

  /// Makes sure that the losses of some rows are numbers.
  private func checkFinite(
    _ losses: [ExampleLoss],
    from first: Int,
    of data: DataSet
  ) throws(ReFTError) {
    guard let row = losses[first...].firstIndex(where: { !$0.sum.isFinite }) else { return }
    throw model.explainNotFinite()
      ?? .lossNotFinite(data.place(of: row), loss: losses[row].sum, hasAdapter: !adapters.isEmpty)
  }

  /// Runs of rows that are scored between two reports of progress.
  private func chunks(of data: DataSet) -> [Range<Int>] {
    stride(from: 0, to: data.examples.count, by: 32).map {
      $0..<min($0 + 32, data.examples.count)
    }
  }
}
