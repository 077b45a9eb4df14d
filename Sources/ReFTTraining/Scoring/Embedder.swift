// SPDX-License-Identifier: Apache-2.0
// Texts as vectors: the mean of their final hidden states, of length one.

import CReFTKernels
public import ReFTHost
public import ReFTModel
import ReFTTensor

/// Embeds texts.
public struct Embedder {
  private let runtime: LazyRuntime
  private let model: FrozenModel
  private let adapters: AdapterStack
  private let budget: Int

  /// The width of a vector.
  public let width: Int

  /// Prepares embedding.
  ///
  /// - Parameters:
  ///   - model: the frozen model.
  ///   - adapters: its edits; none take the model as it is.
  ///   - microBatchTokens: the most tokens of one pass; a longer text has a pass of its own.
  ///   - device: where the model runs.
  public init(
    model: LoadedModel,
    adapters: AdapterStack,
    microBatchTokens: Int = 1024,
    device: any ComputeDevice = ProcessorDevice.shared
  ) {
    runtime = LazyRuntime(device, model.frozen, precision: .int16)
    self.model = model.frozen
    width = model.configuration.hiddenSize
    self.adapters = adapters
    budget = microBatchTokens
  }

  /// The vectors of texts.
  ///
  /// - Parameters:
  ///   - data: the texts.
  ///   - trace: is told what edits change, under the indices of the texts; nil where nobody asks.
  ///   - progress: receives the number of texts done.
  /// - Returns: one vector of length 1 for each, in their order.
  /// - Throws: what the model or a plugin throws; `badData` for a vector that is none.
  public func embed(
    _ data: DataSet,
    trace: EditTrace? = nil,
    progress: (Int) -> Void = { _ in }
  ) throws -> [[Float]] {
    var vectors = [[Float]](repeating: [], count: data.examples.count)
    for first in stride(from: 0, to: data.examples.count, by: 64) {
      let chunk = Array(first..<min(first + 64, data.examples.count))
      let lengths = chunk.map { data.examples[$0].ids.count }
      for places in MicroBatches.split(lengths: lengths, budget: budget) {
        let texts = places.map { chunk[$0] }
        for (text, vector) in zip(texts, try embed(texts, of: data, trace)) {
          guard vector.allSatisfy(\.isFinite) else {
            throw model.explainNotFinite()
              ?? ReFTError.vectorNotFinite(data.place(of: text))
          }
          vectors[text] = vector
        }
      }
      progress(first + chunk.count)
    }
    return vectors
  }

  private func embed(
    _ texts: [Int],
    of data: DataSet,
    _ trace: EditTrace?
  ) throws -> [[Float]] {
    var batch = PackedBatch()
    var edits: [SequenceEdit] = []
    for text in texts {
      let example = data.examples[text]
      var edit = SequenceEdit(
        adapters: adapters,
        start: batch.tokens.count,
        count: example.ids.count,
        promptLength: example.promptLength,
        promptTokens: example.ids[...],
        key: Int64(text)
      )
      edit.subspace = example.subspace
      edits.append(edit)
      batch.append(example)
    }
    let session = try EditSession(edits, trace: trace)
    let (tokens, rows) = HeadObjective.pooled(batch, .mean)
    var result: [[Float]] = []
    try runtime.get().hiddenStates(
      of: batch,
      at: tokens,
      editor: session.isEmpty ? nil : session,
      from: nil
    ) { states in
      result = rows.map { mean(of: $0, states) }
    }
    return result
  }

  /// The mean of some rows, divided by its length.
  private func mean(of rows: Range<Int>, _ states: UnsafePointer<Float>) -> [Float] {
    var vector = [Float](repeating: 0, count: width)
    vector.withUnsafeMutableBufferPointer { vector in
      guard let start = vector.baseAddress else { return }
      for row in rows { reft_axpy_f32(width, 1, states + row * width, start) }
      let square = vector.reduce(0.0) { $0 + Double($1) * Double($1) }
      reft_scale_f32(width, Float(1 / max(square.squareRoot(), 1e-30)), start)
    }
    return vector
  }
}

extension ReFTError {
  static func vectorNotFinite(_ place: String) -> ReFTError {
    ReFTError(
      .badData,
      "\(place): the vector of this text is no number, though all weights of the model are finite; "
        + "take a weaker adapter, or convert the model anew"
    )
  }
}
