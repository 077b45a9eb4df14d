// SPDX-License-Identifier: Apache-2.0
// Prompts in, texts out: what `reft generate` and `reft chat` call.

public import ReFTHost
public import ReFTModel
public import ReFTTensor

/// Generates texts with a frozen model, with or without adapters.
public final class TextGenerator {
  /// The frozen model.
  public let model: LoadedModel
  /// How long opening it took, for the results' timings.
  public let loadSeconds: Double

  /// Where the model runs.
  private let device: any ComputeDevice

  /// Takes a model that is open.
  public init(
    model: LoadedModel,
    loadSeconds: Double = 0,
    device: any ComputeDevice = ProcessorDevice.shared
  ) {
    self.model = model
    self.loadSeconds = loadSeconds
    self.device = device
  }

  /// Opens a model and measures how long that takes.
  ///
  /// - Parameters:
  ///   - path: the model's file or folder.
  ///   - device: where it runs.
  /// - Throws: what opening a model file throws.
  public convenience init(
    path: String,
    device: any ComputeDevice = ProcessorDevice.shared
  ) throws(ReFTError) {
    let start = ContinuousClock.now
    let model = try LoadedModel(path: path)
    self.init(
      model: model,
      loadSeconds: (ContinuousClock.now - start).seconds,
      device: device
    )
  }

  /// Tells whether a request can be served.
  ///
  /// - Throws: what `generate` would throw before it starts, without the request's number.
  public func check(_ request: GenerationRequest) throws(ReFTError) {
    _ = try request.checkedPromptIds(for: model)
  }

  /// Generates one text for each request.
  ///
  /// All requests are checked before the first one starts. A text depends on its own request alone,
  /// not on `batchSize` or on the other requests; where one fails, the others are still generated.
  ///
  /// - Parameters:
  ///   - requests: what to generate.
  ///   - batchSize: how many texts are generated at once; at least 1.
  ///   - precision: of the activations of generated tokens.
  ///   - trace: is told what edits change, under the numbers of the requests; nil where nobody asks.
  ///   - onEvent: is told of text as it comes, and of results; an error that it throws ends the
  ///     generation.
  /// - Returns: the results, in the order of the requests.
  /// - Throws: `usage` or `badData` naming the request that cannot be; what `onEvent` throws; and,
  ///   once all others are done, the error of the first request that failed.
  public func generate(
    _ requests: [GenerationRequest],
    batchSize: Int = 1,
    precision: DecodePrecision = .int16,
    trace: EditTrace? = nil,
    onEvent: ((GenerationEvent) throws -> Void)? = nil
  ) throws -> [GenerationResult] {
    let batch = try GenerationBatch(
      model: model,
      size: batchSize,
      loadSeconds: loadSeconds,
      precision: precision,
      device: device,
      trace: trace
    )
    for (index, request) in requests.enumerated() {
      do {
        try batch.submit(request)
      } catch {
        throw requests.count > 1 ? .ofRequest(index, error) : error
      }
    }
    var results = [GenerationResult?](repeating: nil, count: requests.count)
    var failure: (request: Int, error: ReFTError)?
    while !batch.isIdle {
      for event in batch.step() {
        switch event {
        case .text: break
        case .finished(let number, let result): results[number] = result
        case .failed(let number, let error):
          if number <= failure?.request ?? number { failure = (number, error) }
        }
        try onEvent?(event)
      }
    }
    if let failure {
      throw requests.count > 1 ? .ofRequest(failure.request, failure.error) : failure.error
    }
    return results.compactMap { $0 }
  }
}
