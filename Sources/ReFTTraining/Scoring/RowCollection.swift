// SPDX-License-Identifier: Apache-2.0
// What plugins tell of the rows of many texts.

public import ReFTHost
public import ReFTModel
public import ReFTTensor
public import ReFTText

/// Runs texts through a model and takes what an adapter's plugins tell of their rows.
public struct RowCollection {
  private let runtime: LazyRuntime
  private let adapters: AdapterStack
  private let budget: Int

  /// Prepares a collection.
  ///
  /// - Parameters:
  ///   - model: the frozen model.
  ///   - adapters: its edits, at least one of which tells something.
  ///   - microBatchTokens: the most tokens of one pass; a longer text has a pass of its own.
  ///   - device: where the model runs.
  public init(
    model: LoadedModel,
    adapters: AdapterStack,
    microBatchTokens: Int = 1024,
    device: any ComputeDevice = ProcessorDevice.shared
  ) {
    runtime = LazyRuntime(device, model.frozen, precision: .float32)
    self.adapters = adapters
    budget = microBatchTokens
  }

  /// Which texts the positions leave alone.
  ///
  /// - Returns: what is worth a word, in sentences.
  /// - Throws: `badData` where that is every text; what a rule says of a text without what it looks for.
  public func check(_ data: DataSet, tokenizer: Tokenizer) throws(ReFTError) -> [String] {
    let specs = adapters.specs
    let found = try data.checkEdits(specs, tokenizer: tokenizer, mustEdit: false)
    guard found.unedited < data.examples.count else {
      throw ReFTError(
        .badData,
        "no text has a token at the positions \(Set(specs.map { "'\($0.positions)'" }).sorted().joined(separator: ", ")); "
          + "take positions such as 'all', or longer texts"
      )
    }
    return found.notes
  }

  /// What is told of texts.
  ///
  /// - Parameters:
  ///   - data: the texts.
  ///   - progress: receives the number of texts done.
  /// - Returns: the rows of each intervention and layer, their keys the indices of texts, ascending.
  /// - Throws: what the model or a plugin throws.
  public func collect(
    _ data: DataSet,
    progress: (Int) -> Void = { _ in }
  ) throws -> [RowCollector.Part] {
    let collector = RowCollector()
    for first in stride(from: 0, to: data.examples.count, by: 64) {
      let chunk = Array(first..<min(first + 64, data.examples.count))
      let lengths = chunk.map { data.examples[$0].ids.count }
      for places in MicroBatches.split(lengths: lengths, budget: budget) {
        try run(places.map { chunk[$0] }, of: data, collector)
      }
      progress(first + chunk.count)
    }
    return collector.parts.map(\.inOrder)
  }

  private func run(_ rows: [Int], of data: DataSet, _ collector: RowCollector) throws {
    var batch = PackedBatch()
    var edits: [SequenceEdit] = []
    for row in rows {
      let example = data.examples[row]
      var edit = SequenceEdit(
        adapters: adapters,
        start: batch.tokens.count,
        count: example.ids.count,
        promptLength: example.promptLength,
        promptTokens: example.ids.prefix(example.promptLength),
        key: Int64(row)
      )
      edit.subspace = example.subspace
      edits.append(edit)
      batch.append(example)
    }
    let session = try EditSession(edits, collector: collector)
    guard !session.isEmpty else { return }
    let (tokens, _) = HeadObjective.pooled(batch, .mean)
    try runtime.get().hiddenStates(of: batch, at: tokens, editor: session, from: nil) { _ in }
  }
}

extension RowCollector.Part {
  /// The same, by rows of the data and positions.
  fileprivate var inOrder: RowCollector.Part {
    let order = keys.indices.sorted { (keys[$0], positions[$0]) < (keys[$1], positions[$1]) }
    var sorted = self
    sorted.reorder(order)
    return sorted
  }
}
