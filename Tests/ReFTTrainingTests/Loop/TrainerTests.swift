// SPDX-License-Identifier: Apache-2.0
// The loop on a tiny model: what it learns, what it leaves, and what may not change its results.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

struct TrainerTests {
  @Test(
    "looks at the first rows once trained, fewer where they are long, and at one however long",
    arguments: [(10, 40, 32), (500, 40, 4), (512, 40, 4), (3000, 40, 1), (10, 3, 3), (10, 0, 0)]
  )
  func traces(length: Int, count: Int, traced: Int) {
    let row = Example(
      ids: Array(repeating: 1, count: length),
      labels: Array(repeating: Example.noLabel, count: length),
      promptLength: length
    )
    #expect(Trainer.traced(Array(repeating: row, count: count)).count == traced)
  }

  @Test("lowers the loss and leaves adapter, metrics, report, manifest and checkpoints")
  func trains() throws {
    try withTinyRun { run in
      let summary = try run.train("out", ["train.epochs=10", "train.learning_rate=5e-2"])
      let records = try run.records("out")
      #expect(records.map(\.step) == Array(1...30))
      #expect(summary.steps == 30)
      #expect(records[29].loss < 0.7 * records[0].loss)
      let last = records.suffix(3)
      let mean =
        last.reduce(0) { $0 + $1.loss * Double($1.labelTokens) }
        / Double(last.reduce(0) { $0 + $1.labelTokens })
      #expect(abs(summary.loss - mean) < 1e-9)
      #expect(records[0].learningRate == 0)
      #expect(records[0].tokens > records[0].labelTokens && records[0].labelTokens > 0)
      #expect(records[2].epoch == 1 && records[0].peakRssBytes > 1 << 20)
      let html = String(decoding: try run.bytes("out/report.html"), as: UTF8.self)
      #expect(html.contains("<polyline") && html.count < 40_000)
      let manifest = String(decoding: try run.bytes("out/manifest.json"), as: UTF8.self)
      for text in [
        "\"status\" : \"finished\"", run.model.fingerprint, "\"adapter_hash\" : \"sha256:",
      ] {
        #expect(manifest.contains(text))
      }
      let checkpoints = try FileManager.default.contentsOfDirectory(
        atPath: run.folder + "/out/checkpoints"
      )
      #expect(checkpoints.sorted() == ["step-00000028", "step-00000030"])
      let adapter = try Adapter.load(
        path: run.folder + "/out/adapter",
        model: run.model,
        catalog: run.catalog
      )
      #expect(adapter.template == "none")
      #expect(adapter.trainingInfo["steps"] == .int(30))
      let again = try RunConfiguration.load(path: run.folder + "/out/config.yaml")
      #expect(again.train.epochs == 10)
      #expect(summary.pluginShares["loreft"].map { $0 > 0 && $0 < 1 } == true)
    }
  }

  @Test("ends with the last step's parameters where the best checkpoint is gone, and says so")
  func lostBest() throws {
    try withTinyRun { run in
      let overrides = [
        "data.validation=held.jsonl", "train.eval_every=1", "train.learning_rate=5",
        "train.schedule=constant",
      ]
      var warnings: [String] = []
      let summary = try run.train("out", overrides) { event in
        if case .warning(let text) = event { warnings.append(text) }
        guard case .saved(6, _) = event else { return }
        let folder = run.folder + "/out/checkpoints"
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        where name != "step-00000006" {
          try? FileManager.default.removeItem(atPath: folder + "/" + name)
        }
      }
      let best = try #require(summary.bestStep)
      try #require(best < 6)
      #expect(
        warnings.count == 1
          && warnings[0].hasPrefix(
            "the checkpoint of the best validation, '\(run.folder)/out/checkpoints/step-0000000"
              + "\(best)', cannot be read, so the adapter is that of the last step, 6: "
          ),
        "\(warnings)"
      )
      let last = try run.bytes("out/checkpoints/step-00000006/adapter/adapter_model.safetensors")
      #expect(try run.tensors("out") == last)
      let manifest = String(decoding: try run.bytes("out/manifest.json"), as: UTF8.self)
      #expect(manifest.contains("\"status\" : \"finished\""))
    }
  }

  @Test("gives each line of metrics.jsonl the keys of the contract")
  func metricsKeys() throws {
    try withTinyRun { run in
      try run.train("out", ["train.max_steps=1"])
      let line = try run.bytes("out/metrics.jsonl")
      let keys = try #require(JSONSerialization.jsonObject(with: line) as? [String: Any]).keys
      #expect(
        keys.sorted() == [
          "epoch", "grad_norm", "label_tokens", "learning_rate", "loss", "peak_rss_bytes",
          "seconds", "step", "tokens", "tokens_per_second",
        ]
      )
    }
  }

  @Test("trains the same adapter from the same configuration, and another from another seed")
  func determinism() throws {
    try withTinyRun { run in
      for (name, overrides) in [("a", []), ("b", []), ("c", ["train.seed=1"])] {
        try run.train(name, overrides)
      }
      #expect(try run.tensors("a") == run.tensors("b"))
      #expect(
        try run.bytes("a/adapter/adapter_config.json") == run.bytes("b/adapter/adapter_config.json")
      )
      #expect(try run.bytes("a/adapter/README.md") == run.bytes("b/adapter/README.md"))
      #expect(try run.tensors("a") != run.tensors("c"))
    }
  }

  @Test("does not depend on how a batch is split into passes, dropout included")
  func microBatches() throws {
    try withTinyRun { run in
      let dropout = "interventions.0.options.dropout=0.2"
      try run.train("whole", [dropout])
      try run.train("split", [dropout, "train.micro_batch_tokens=1"])
      for (a, b) in zip(try run.records("whole"), try run.records("split")) {
        #expect(abs(a.loss - b.loss) < 1e-4 && abs(a.gradNorm - b.gradNorm) < 1e-3 * a.gradNorm)
      }
      let (a, b) = try (adapter(run, "whole"), adapter(run, "split"))
      expectCloseNorm(a.parameters.values.values, b.parameters.values.values, relative: 1e-3)
      // Dropout is really on: without it the losses differ.
      try run.train("plain")
      let (first, plain) = try (run.records("whole")[0].loss, run.records("plain")[0].loss)
      #expect(abs(first - plain) > 1e-3)
    }
  }

  @Test("has the same bits with the activation cache and without")
  func cache() throws {
    try withTinyRun { run in
      var cached: Int?
      try run.train("with", ["train.epochs=3"]) { event in
        if case .prepared(let plan) = event { cached = plan.cachedBlock }
      }
      // The edit of block 1 changes its output alone, so what enters block 2 before it is kept.
      #expect(cached == 2)
      try run.train("without", ["train.epochs=3", "train.cache_megabytes=0"])
      #expect(try run.tensors("with") == run.tensors("without"))
    }
  }

  @Test("keeps activations in memory and in a file with the bits of the model")
  func cacheFile() throws {
    try withTinyRun { run in
      let pass = ModelRuntime(model: run.model.frozen)
      let data = try DataSet(
        path: run.folder + "/rows.jsonl",
        coder: run.model.tokenizer,
        chatTemplate: nil
      )
      func batch(_ keys: [Int]) -> PackedBatch {
        var batch = PackedBatch()
        for key in keys {
          batch.append(ids: data.examples[key].ids, labels: data.examples[key].labels)
        }
        return batch
      }
      let width = run.model.configuration.hiddenSize
      for limit in [0, data.examples[0].ids.count * width * 4, 1 << 20] {
        let cache = ActivationCache(
          block: 2,
          width: width,
          room: CacheRoom(bytes: limit),
          folder: run.folder
        )
        for keys in [[0, 1], [1, 2, 0], [3], [3, 2, 1, 0]] {
          let input = try cache.input(keys: keys, batch: batch(keys), pass: pass)
          let fresh = try pass.blockInput(2, of: batch(keys))
          expectIdentical(input.rows.values, fresh.rows.values, "limit \(limit), keys \(keys)")
        }
      }
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: run.folder).allSatisfy {
          !$0.hasPrefix(".activations")
        }
      )
    }
  }

  @Test("keeps the best parameters by validation loss, and exports them")
  func best() throws {
    try withTinyRun { run in
      // What is held out contradicts what is trained: the validation loss rises.
      let row = #"{"prompt":"the 0 in","completion":" of zebras"}"#
      try Data(row.utf8).write(to: URL(fileURLWithPath: run.folder + "/other.jsonl"))
      let overrides = [
        "data.validation=other.jsonl", "train.eval_every=1", "train.learning_rate=0.3",
        "train.epochs=4", "train.keep_checkpoints=1", "train.schedule=constant",
      ]
      let summary = try run.train("out", overrides)
      let losses = try run.records("out").map { try #require($0.validationLoss) }
      let best = try #require(losses.min())
      let step = try #require(losses.firstIndex(of: best)) + 1
      #expect(summary.bestLoss == best && summary.bestStep == step)
      try #require(step < 12, "the last step is not meant to be the best")
      let kept =
        run.folder + "/out/checkpoints/step-0000000\(step)/adapter/adapter_model.safetensors"
      #expect(try run.tensors("out") == Data(contentsOf: URL(fileURLWithPath: kept)))
      let held = try DataSet(
        path: run.folder + "/other.jsonl",
        coder: run.model.tokenizer,
        chatTemplate: nil
      )
      let score = try Scorer(model: run.model, adapter: adapter(run, "out")).score(held)
      #expect(abs(score.loss - best) < 1e-6)
      try run.train("last", overrides + ["train.result=last"])
      #expect(try run.tensors("last") != run.tensors("out"))
    }
  }

  @Test("starts from another adapter's parameters, and says what does not fit")
  func initialAdapter() throws {
    try withTinyRun { run in
      try run.train("first")
      let start = "train.init_adapter=\(run.folder)/first/adapter"
      try run.train("second", [start, "train.learning_rate=0", "train.max_steps=1"])
      let (a, b) = try (adapter(run, "first"), adapter(run, "second"))
      expectClose(a.parameters.values.values, b.parameters.values.values, tolerance: 1e-6)
      let error = #expect(throws: ReFTError.self) {
        try run.train("third", [start, "interventions.0.options.rank=3"])
      }
      #expect(error?.code == .badConfiguration)
      #expect(
        error?.message == "'train.init_adapter' \(run.folder)/first/adapter does not fit: tensor "
          + "'interventions.0.layers.1.rotate.weight' is 2x64, expected 3x64; use the same plugins, "
          + "layers, positions and options as it was trained with"
      )
    }
  }

  @Test("refuses layers and positions that do not exist, before the first step")
  func impossible() throws {
    try withTinyRun { run in
      let layers = #expect(throws: ReFTError.self) {
        try run.train("out", ["interventions.0.layers=[3]"])
      }
      #expect(layers?.code == .badConfiguration)
      #expect(
        layers?.message.hasSuffix("'layers' names block 3, but the model has blocks 0 to 2") == true
      )
      let positions = #expect(throws: ReFTError.self) {
        try run.train("out", [#"interventions.0.positions="[9]""#])
      }
      #expect(positions?.code == .badData)
      #expect(positions?.message.contains("rows.jsonl:1: positions '[9]' name token 9") == true)
      #expect(!FileManager.default.fileExists(atPath: run.folder + "/out"))
    }
  }

  @Test("tells how many rows were cut and left out")
  func lengths() throws {
    try withTinyRun { run in
      var warnings: [String] = []
      try run.train("out", ["data.max_length=12", "train.max_steps=1"]) { event in
        if case .warning(let text) = event { warnings.append(text) }
      }
      let data = try DataSet(
        path: run.folder + "/rows.jsonl",
        coder: run.model.tokenizer,
        chatTemplate: nil
      )
      let cut = data.examples.count { $0.ids.count > 12 }
      let lost = data.examples.count { $0.promptLength >= 12 }
      try #require(cut > lost && lost > 0)
      #expect(
        warnings == [
          "\(run.folder)/rows.jsonl: of 12 rows, \(cut) were cut to 12 tokens and \(lost) left out; "
            + "see 'data.max_length' and 'data.overlong'"
        ]
      )
    }
  }

  @Test("says that the model's context, and not a key, cut the rows")
  func contextLength() throws {
    var shape = TinyModel()
    shape.contextLength = 12
    try withTinyRun(shape: shape) { run in
      var warnings: [String] = []
      try run.train("out", ["train.max_steps=1"]) { event in
        if case .warning(let text) = event { warnings.append(text) }
      }
      #expect(warnings.count == 1)
      #expect(
        warnings.first?.contains("were cut to 12 tokens and ") == true
          && warnings.first?.hasSuffix("left out; the model's context holds no more") == true
      )
      let error = #expect(throws: ReFTError.self) {
        try run.train("other", ["data.overlong=error"])
      }
      #expect(
        error?.message.hasSuffix(
          ": more than 12 tokens, the most that the model's context holds; shorten the row, or take "
            + "'data.overlong: cut' or 'skip'"
        ) == true
      )
    }
  }

  private static let short = #"{"prompt":"h","completion":" hello"}"#
  private static let long = #"{"prompt":"the the the","completion":" in"}"#

  @Test("refuses a run that would change nothing, and tells the rows without an edit")
  func nothingEdited() throws {
    try withTinyRun { run in
      try run.write(text: "\(Self.short)\n\(Self.short)\n", to: "rows.jsonl")
      let error = #expect(throws: ReFTError.self) { try run.train("out") }
      #expect(error?.code == .badData)
      #expect(
        error?.message
          == "\(run.folder)/rows.jsonl:1: positions 'f2+l2' edit no token of any of the 2 rows, so "
          + "training would change nothing; of this row, its prompt has 1 token, and each end is "
          + "clipped to half of it, rounded down; take positions such as 'all', or rows with longer "
          + "prompts"
      )
      #expect(!FileManager.default.fileExists(atPath: run.folder + "/out"))
      try run.train("all", ["interventions.0.positions=all", "train.max_steps=1"])

      try run.write(text: "\(Self.long)\n\(Self.short)\n\(Self.short)\n", to: "rows.jsonl")
      try run.write(text: "\(Self.short)\n", to: "held.jsonl")
      var warnings: [String] = []
      try run.train("some", ["train.max_steps=1", "data.validation=held.jsonl"]) { event in
        if case .warning(let text) = event { warnings.append(text) }
      }
      let reason =
        "this one the first: its prompt has 1 token, and each end is clipped to half of it, rounded down"
      let edited = "have no token that positions 'f2+l2' edit, " + reason
      #expect(
        warnings == [
          "\(run.folder)/rows.jsonl:2: 2 of 3 rows \(edited)",
          "\(run.folder)/held.jsonl:1: 1 of 1 rows \(edited)",
        ]
      )
    }
  }

  @Test("refuses texts of which only the last token is edited, from which nothing is predicted")
  func nothingPredicted() throws {
    try withTinyRun { run in
      try run.write(text: #"{"text":"the the the in"}"# + "\n", to: "rows.jsonl")
      let error = #expect(throws: ReFTError.self) {
        try run.train("last", ["interventions.0.positions=l1"])
      }
      #expect(error?.code == .badData)
      #expect(error?.message.contains("nothing is predicted from those edited") == true)
      try run.train("first", ["interventions.0.positions=f1", "train.max_steps=1"])
    }
  }

  @Test("refuses rows of empty prompts, and takes them where generated tokens are edited")
  func emptyPrompts() throws {
    try withTinyRun { run in
      try run.write(text: #"{"prompt":"","completion":" hello in"}"#, to: "rows.jsonl")
      for rule in ["all", "f7+l7", "every:2"] {
        let error = #expect(throws: ReFTError.self) {
          try run.train("out", ["interventions.0.positions=\(rule)"])
        }
        #expect(error?.message.contains("of this row, its prompt has 0 tokens; take") == true)
      }
      try run.train("decode", ["interventions.0.positions=f2+l2+decode", "train.max_steps=1"])
    }
  }

  private func adapter(_ run: TinyRun, _ output: String) throws -> Adapter {
    try Adapter.load(
      path: run.folder + "/\(output)/adapter",
      model: run.model,
      catalog: run.catalog
    )
  }
}
