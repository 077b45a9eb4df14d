// SPDX-License-Identifier: Apache-2.0
// Runs that train a LoRA, alone or beside interventions.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("Training a LoRA")
struct LoRATrainingTests {
  private static let beside = [
    "lora.rank=2", "lora.dropout=0.2", "lora.layers=[2]",
    "lora.targets=[q_proj, up_proj, down_proj]",
  ]

  @Test(
    "beside an intervention goes on bit for bit after an interruption, with a cache and without"
  )
  func resume() throws {
    try withTinyRun { run in
      try run.train("whole", Self.beside)
      let error = #expect(throws: ReFTError.self) {
        try run.train("parts", Self.beside, endingAt: 3)
      }
      #expect(error?.code == .interrupted)
      try run.train("parts", Self.beside, mode: .resume)
      #expect(try run.tensors("parts") == run.tensors("whole"))
      try run.train("plain", Self.beside + ["train.cache_megabytes=0"])
      #expect(try run.tensors("plain") == run.tensors("whole"))
      let adapter = try Adapter.load(
        path: run.folder + "/whole/adapter",
        model: run.model,
        catalog: run.catalog
      )
      #expect(adapter.specs.count == 1 && adapter.lora?.spec.dropout == 0.2)
      #expect(adapter.lora?.spec.targets == [.query, .up, .down])
      let b = try #require(adapter.parameters.index(of: "lora.layers.2.down_proj.B"))
      #expect(adapter.parameters.tensor(b).contains { $0 != 0 })
    }
  }

  private static let alone = """
    model: tiny.gguf
    data: {train: rows.jsonl, validation: held.jsonl}
    lora: {rank: 4, alpha: 8, targets: [q_proj, v_proj, o_proj], layers: "0;2"}
    train: {epochs: 6, batch_size: 4, learning_rate: 2.0e-2}
    """

  private func train(
    _ run: TinyRun,
    _ yaml: String,
    _ output: String,
    _ overrides: [String] = []
  ) throws -> TrainingSummary {
    let configuration = try RunConfiguration.parse(
      yaml: yaml,
      path: run.folder + "/lora.yaml",
      overrides: overrides + ["output=" + output]
    )
    return try Trainer(configuration: configuration, model: run.model, catalog: run.catalog).run()
  }

  @Test("alone lowers the loss, starts another, and is scored with its gradients")
  func alone() throws {
    try withTinyRun { run in
      let summary = try train(run, Self.alone, "first")
      let records = try run.records("first")
      #expect(summary.loss < records[0].loss * 0.9)
      #expect(summary.trainableParameters == 2 * (4 * 128 + 4 * 96 + 4 * 128))
      _ = try train(
        run,
        Self.alone,
        "second",
        ["train.init_adapter=first/adapter", "train.max_steps=1", "train.learning_rate=0"]
      )
      #expect(try run.tensors("second") == run.tensors("first"))
      let adapter = try Adapter.load(
        path: run.folder + "/first/adapter",
        model: run.model,
        catalog: run.catalog
      )
      let data = try DataSet(
        path: run.folder + "/held.jsonl",
        coder: run.model.tokenizer,
        chatTemplate: nil
      )
      let (score, gradients) = try Scorer(model: run.model, adapter: adapter)
        .scoreWithGradients(data)
      #expect(gradients.tensors.count == 12)
      #expect(
        try abs(score.loss - Scorer(model: run.model, adapter: adapter).score(data).loss) < 1e-6
      )
    }
  }

  /// Configurations that are refused.
  static let faults: [(lora: String, says: String)] = [
    ("{rank: 0}", "'lora.rank' is '0'"),
    ("{dropout: 1}", "'lora.dropout' is '1'"),
    ("{targets: [q]}", "'lora.targets.0'"),
    ("{targets: [q_proj, qkv_proj]}", "of which it is a part"),
    ("{layers: [3]}", "the model has 3 blocks"),
    ("{ranks: 3}", "rank"),
  ]

  @Test("is refused where it cannot be, naming the key", arguments: faults.indices)
  func refusals(_ index: Int) throws {
    let fault = Self.faults[index]
    try withTinyRun { run in
      let yaml = "model: tiny.gguf\ndata: {train: rows.jsonl}\nlora: \(fault.lora)\n"
      let error = #expect(throws: ReFTError.self) { try train(run, yaml, "out") }
      #expect(error?.code == .badConfiguration)
      #expect(error?.message.contains(fault.says) == true, "\(error?.message ?? "")")
    }
  }

  @Test("is written as it is read")
  func writing() throws {
    let yaml = Self.alone + "\noutput: out\n"
    let read = try RunConfiguration.parse(yaml: yaml, path: "/tmp/lora.yaml")
    let again = try RunConfiguration.parse(yaml: read.yaml(), path: "/tmp/lora.yaml")
    #expect(again.lora == read.lora && again.lora?.layers == [0, 2])
  }
}
