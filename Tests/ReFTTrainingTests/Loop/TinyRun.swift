// SPDX-License-Identifier: Apache-2.0
// A training run on a tiny random model: folder, data, configuration.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

/// A folder with a tiny model and a few rows, and configurations for it.
struct TinyRun {
  let folder: String
  let model: LoadedModel
  let catalog: PluginCatalog

  /// Writes model and data into a folder.
  init(folder: String, rows: Int = 12, shape: TinyModel = TinyModel()) throws {
    self.folder = folder
    var shape = shape
    shape.blocks = 3
    // Another process may have it open; writing to it would be a change of the model in mid-run.
    let isThere = FileManager.default.fileExists(atPath: folder + "/tiny.gguf")
    model = try LoadedModel(path: isThere ? folder + "/tiny.gguf" : shape.write(in: folder))
    catalog = try BuiltPlugins.catalog()
    try write(rows: rows, to: "rows.jsonl")
    try write(rows: 4, to: "held.jsonl")
  }

  /// Writes rows of unequal lengths.
  func write(rows: Int, to name: String) throws {
    let text = (0..<rows).map { row in
      let prompt = String(repeating: "the \(row) ", count: 1 + row % 5)
      return #"{"prompt":"\#(prompt)in","completion":" and \#(row % 3)"}"#
    }.joined(separator: "\n")
    try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/" + name))
  }

  /// Writes a file.
  func write(text: String, to name: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/" + name))
  }

  /// A configuration of LoReFT at the blocks 1 and 2, two epochs of three steps.
  func configuration(_ output: String, _ overrides: [String] = []) throws -> RunConfiguration {
    try RunConfiguration.parse(
      yaml: """
        model: tiny.gguf
        data: {train: rows.jsonl}
        interventions:
          - {plugin: loreft, layers: [1, 2], positions: f2+l2, options: {rank: 2}}
        train: {epochs: 2, batch_size: 4, learning_rate: 2.0e-2, warmup: 0.1, save_every: 2}
        output: \(output)
        """,
      path: folder + "/run.yaml",
      overrides: overrides
    )
  }

  /// Trains to the end, or to the step where `end` asks to stop.
  @discardableResult
  func train(
    _ output: String,
    _ overrides: [String] = [],
    mode: Trainer.Mode = .fresh,
    endingAt end: Int? = nil,
    judge: (any TrainingJudge)? = nil,
    observer: (TrainingEvent) -> Void = { _ in }
  ) throws -> TrainingSummary {
    let stop = StopFlag()
    let trainer = try Trainer(
      configuration: configuration(output, overrides),
      model: model,
      catalog: catalog,
      judge: judge
    )
    return try trainer.run(mode: mode, stop: stop) { event in
      if case .step(let record, _) = event, record.step == end { stop.set() }
      observer(event)
    }
  }

  /// The bytes of a file of a run.
  func bytes(_ name: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name))
  }

  /// The bytes of the trained tensors of a run.
  func tensors(_ output: String) throws -> Data {
    try bytes(output + "/adapter/adapter_model.safetensors")
  }

  /// The records of a run.
  func records(_ output: String) throws -> [StepRecord] {
    try MetricsFile.read(path: folder + "/" + output + "/metrics.jsonl")
  }
}

/// Runs a closure on a fresh tiny run.
func withTinyRun(
  rows: Int = 12,
  shape: TinyModel = TinyModel(),
  _ body: (TinyRun) throws -> Void
) throws {
  try withTemporaryDirectory { try body(TinyRun(folder: $0, rows: rows, shape: shape)) }
}
