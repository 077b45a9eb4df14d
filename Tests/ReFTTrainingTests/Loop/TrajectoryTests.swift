// SPDX-License-Identifier: Apache-2.0
// Twelve steps on the real model beside PyTorch's: Tests/Fixtures/smollm2/trajectory.json, written
// by make_trajectory.py (torch AdamW, transformers' linear schedule, clipping, decay on matrices).

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import ReFTTraining
import Testing
import _ReFTTestSupport

struct TrajectoryTests {
  struct Reference: Decodable {
    struct Step: Decodable {
      var step: Int
      var loss: Double
      var grad_norm: Double
      var learning_rate: Double
    }
    var rank: Int
    var layers: [Int]
    var examples: [[String]]
    var steps: Int
    var warmup_steps: Int
    var learning_rate: Double
    var clip_norm: Double
    var weight_decay: [String: Double]
    var log: [Step]
    var final_loss: Double
  }

  /// PyTorch's names of the parameters, and ours.
  private static let names = ["P": "proj.weight", "W": "source.weight", "b": "source.bias"]

  /// The end token of the reference is what its GGUF reader took for it: id 1, not the file's 2.
  private static let referenceEnd: Int32 = 1

  @Test(
    "follows PyTorch step by step, in one pass and in four",
    .requiresRealModel,
    arguments: [1024, 1]
  )
  func follows(microBatchTokens: Int) throws {
    let reference = try JSONDecoder().decode(
      Reference.self,
      from: Fixture.data("smollm2/trajectory.json")
    )
    let tensors = try Safetensors.read(path: Fixture.path("smollm2/trajectory.safetensors"))
    let model = try LoadedModel(path: RealModel.required())
    let catalog = try BuiltPlugins.catalog()
    try withTemporaryDirectory { folder in
      try writeStart(reference, tensors, model, catalog, to: folder + "/start")
      try writeRows(reference, model.tokenizer, to: folder + "/rows.jsonl")
      let yaml = """
        model: \(model.path)
        data: {train: rows.jsonl, shuffle: false}
        interventions:
          - {plugin: direft, layers: \(reference.layers), positions: f2+l2, options: {rank: 4}}
        train:
          max_steps: \(reference.steps)
          batch_size: \(reference.examples.count)
          micro_batch_tokens: \(microBatchTokens)
          learning_rate: \(reference.learning_rate)
          warmup: \(reference.warmup_steps)
          weight_decay: \(reference.weight_decay["matrices"] ?? 0)
          clip_norm: \(reference.clip_norm)
          init_adapter: start
        output: out
        """
      let configuration = try RunConfiguration.parse(yaml: yaml, path: folder + "/run.yaml")
      try Trainer(configuration: configuration, model: model, catalog: catalog).run()

      let records = try MetricsFile.read(path: folder + "/out/metrics.jsonl")
      try #require(records.count == reference.log.count)
      for (ours, theirs) in zip(records, reference.log) {
        #expect(
          abs(ours.loss - theirs.loss) <= 1e-3,
          "loss at step \(ours.step): \(ours.loss), \(theirs.loss)"
        )
        #expect(abs(ours.gradNorm - theirs.grad_norm) <= 1e-3 * theirs.grad_norm)
        #expect(abs(ours.learningRate - theirs.learning_rate) <= 1e-12)
      }
      let trained = try Adapter.load(path: folder + "/out/adapter", model: model, catalog: catalog)
      for layer in reference.layers {
        for (theirs, ours) in Self.names {
          let name = "interventions.0.layers.\(layer).\(ours)"
          let index = try #require(trained.parameters.index(of: name))
          expectCloseNorm(
            trained.parameters.tensor(index),
            try tensors.floats("end.layers.\(layer).\(theirs)"),
            relative: 1e-3,
            name
          )
        }
      }
      let data = try DataSet(
        path: folder + "/rows.jsonl",
        coder: model.tokenizer,
        chatTemplate: nil
      )
      let end = try Scorer(model: model, adapter: trained).score(data)
      #expect(abs(end.loss - reference.final_loss) <= 1e-3)
    }
  }

  private func writeStart(
    _ reference: Reference,
    _ tensors: SafetensorsFile,
    _ model: LoadedModel,
    _ catalog: PluginCatalog,
    to path: String
  ) throws {
    let spec = InterventionSpec(
      plugin: "direft",
      layers: reference.layers,
      positions: try PositionRule("f2+l2"),
      options: ["rank": .int(Int64(reference.rank))]
    )
    let adapter = try Adapter.create(specs: [spec], model: model, catalog: catalog, seed: 0)
    for layer in reference.layers {
      for (theirs, ours) in Self.names {
        let name = "interventions.0.layers.\(layer).\(ours)"
        let index = try #require(adapter.parameters.index(of: name))
        let values = try tensors.floats("start.layers.\(layer).\(theirs)")
        try #require(values.count == adapter.parameters.tensor(index).count)
        _ = adapter.parameters.tensor(index).update(fromContentsOf: values)
      }
    }
    try adapter.save(to: path)
  }

  private func writeRows(
    _ reference: Reference,
    _ tokenizer: Tokenizer,
    to path: String
  ) throws {
    let rows = reference.examples.map { example -> String in
      let prompt = tokenizer.encode(example[0], addBOS: false)
      let completion = tokenizer.encode(example[1], addBOS: false) + [Self.referenceEnd]
      let labels = prompt.map { _ in Example.noLabel } + completion
      return "{\"ids\":\(prompt + completion),\"labels\":\(labels)}"
    }
    try AtomicFile.write(rows.joined(separator: "\n"), to: path)
  }
}
