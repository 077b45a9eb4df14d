// SPDX-License-Identifier: Apache-2.0
// `reft model info --memory`: what opening, generating and training take.

import ArgumentParser
import ReFTCUDA
import ReFTGeneration
import ReFTHost
import ReFTModel
import ReFTTensor

/// The work whose memory is asked for.
struct MemoryOptions: ParsableArguments {
  @Flag(help: "Print the memory that opening, generating and training take.") var memory = false
  @Option(help: "With --memory: tokens of each sequence, prompt and reply.") var context: Int?
  @Option(help: "With --memory: sequences at once.") var batch: Int?
  @Option(
    name: .customLong("micro-batch-tokens"),
    help: "With --memory: tokens of a pass of training."
  )
  var passTokens: Int?
  @Option(
    name: .customLong("from-layer"),
    help: "With --memory: the lowest layer that training edits."
  )
  var fromLayer: Int?
  @Option(
    name: .customLong("kv-cache"),
    help: "With --memory: how keys and values are cached, float16, int8 or float32."
  )
  var cache: CacheFormat?
  @OptionGroup var device: DeviceOptions
  @Flag(help: "With --memory and a card: all arithmetic in float32.") var exact = false

  private struct Document: Encodable {
    var context: Int
    var batch: Int
    var micro_batch_tokens: Int
    var from_layer: Int
    var open_bytes: Int
    var generate_bytes: Int
    var train_bytes: Int
    var generate: [Part]
    var train: [Part]
  }

  private struct Part: Encodable {
    var name: String
    var bytes: Int
  }

  func validate() throws {
    if device.isCard || exact, !memory {
      throw ValidationError("--device and --exact belong to --memory")
    }
    if cache != nil, !memory { throw ValidationError("--kv-cache belongs to --memory") }
    if cache == .int8, device.isCard {
      throw ValidationError("a card caches no int8: leave out --kv-cache or --device")
    }
    for (name, value, least) in [
      ("--context", context, 1), ("--batch", batch, 1), ("--micro-batch-tokens", passTokens, 1),
      ("--from-layer", fromLayer, 0),
    ] {
      guard let value else { continue }
      guard memory else { throw ValidationError("\(name) belongs to --memory") }
      guard (least...(1 << 26)).contains(value) else {
        throw ValidationError("\(name) is \(value); it must be from \(least) to \(1 << 26)")
      }
    }
  }

  /// Prints the memory that a model takes.
  ///
  /// - Throws: `usage` for a layer that the model does not have, what opening throws.
  func tell(_ path: String, json: Bool) throws {
    let loaded = try LoadedModel(path: path)
    // What of the weights was looked at is counted with the weights.
    let seen = Machine.residentByteCount(of: try ModelFiles.open(path).files.map(\.path))
    let opened = Machine.residentByteCount - seen
    let layers = loaded.configuration.layers
    let lowest = fromLayer ?? 0
    guard lowest < layers else {
      throw ValidationError(
        "--from-layer is \(lowest), and the model has layers 0 to \(layers - 1)"
      )
    }
    let shape = MemoryEstimate.Shape(
      context: context ?? min(2048, loaded.configuration.contextLength),
      batch: batch ?? 1,
      promptTokens: PromptPieces.alone,
      passTokens: passTokens ?? 1024,
      editedBlocks: layers - lowest
    )
    if device.isCard { return try tellOfCard(loaded, shape, lowest: lowest, json: json) }
    let precision = DecodePrecision(.int16, cache: cache)
    let estimate = try MemoryEstimate(loaded.frozen, shape, precision: precision)
    let generating = estimate.generating.reduce(opened) { $0 + $1.byteCount }
    let training = estimate.training.reduce(opened) { $0 + $1.byteCount }
    guard !json else {
      return try Output.json(
        Document(
          context: shape.context,
          batch: shape.batch,
          micro_batch_tokens: shape.passTokens,
          from_layer: lowest,
          open_bytes: opened,
          generate_bytes: generating,
          train_bytes: training,
          generate: estimate.generating.map { Part(name: $0.name, bytes: $0.byteCount) },
          train: estimate.training.map { Part(name: $0.name, bytes: $0.byteCount) }
        )
      )
    }
    let texts = shape.batch == 1 ? "a text" : "\(shape.batch) texts"
    Output.table(
      [["opening", Readable.bytes(opened)]]
        + [["generating, \(texts) of \(shape.context) tokens", Readable.bytes(generating)]]
        + estimate.generating.map { ["  " + $0.name, Readable.bytes($0.byteCount)] }
        + [["training, \(shape.passTokens) tokens a pass", Readable.bytes(training)]]
        + estimate.training.map { ["  " + $0.name, Readable.bytes($0.byteCount)] }
    )
  }

  /// Prints what of a card's memory a model takes; no card is needed.
  private func tellOfCard(
    _ model: LoadedModel,
    _ shape: MemoryEstimate.Shape,
    lowest: Int,
    json: Bool
  ) throws {
    let trained = DeviceMemoryEstimate(model.frozen, isExact: exact)
    let written = DeviceMemoryEstimate(model.frozen, isExact: exact, keepsQuantised: true)
    let kept = shape.editedBlocks * trained.keptBytesPerToken * shape.passTokens
    let pass = trained.passBytesPerToken * shape.passTokens
    let cache = written.cacheBytesPerToken * shape.context * shape.batch
    let prompt = written.passBytesPerToken * min(shape.context, shape.promptTokens)
    let train = [
      Part(name: "weights", bytes: trained.weightBytes),
      Part(name: "what the way back needs", bytes: kept), Part(name: "a pass", bytes: pass),
      Part(name: "logits", bytes: trained.logitBytes),
    ]
    let generate = [
      Part(name: "weights", bytes: written.weightBytes),
      Part(name: "keys and values", bytes: cache), Part(name: "a prompt", bytes: prompt),
    ]
    func sum(_ parts: [Part]) -> Int { parts.reduce(0) { $0 + $1.bytes } }
    guard !json else {
      return try Output.json(
        Document(
          context: shape.context,
          batch: shape.batch,
          micro_batch_tokens: shape.passTokens,
          from_layer: lowest,
          open_bytes: written.weightBytes,
          generate_bytes: sum(generate),
          train_bytes: sum(train),
          generate: generate,
          train: train
        )
      )
    }
    let texts = shape.batch == 1 ? "a text" : "\(shape.batch) texts"
    Output.table(
      [["generating, \(texts) of \(shape.context) tokens", Readable.bytes(sum(generate))]]
        + generate.map { ["  " + $0.name, Readable.bytes($0.bytes)] }
        + [["training, \(shape.passTokens) tokens a pass", Readable.bytes(sum(train))]]
        + train.map { ["  " + $0.name, Readable.bytes($0.bytes)] }
    )
  }
}
