// SPDX-License-Identifier: Apache-2.0
// `reft model info --memory`: what opening, generating and training take.

import ArgumentParser
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
    let estimate = try MemoryEstimate(loaded.frozen, shape)
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
}
