// SPDX-License-Identifier: Apache-2.0
// Objectives on pairs of answers: against PyTorch, in whole runs, and where they are refused.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

/// One case of Tests/Fixtures/lora/preferences.json, made by make_preferences.py there.
struct PreferenceCase: Decodable, Sendable, CustomTestStringConvertible {
  var name: String
  var objective: String
  var beta: Double?
  var margin: Double?
  var length_normalized: Bool
  var losses: [Double]
  var rewards: [[Double]]
  var loss: Double
  var testDescription: String { name }

  var options: PreferenceOptions {
    var options = PreferenceOptions(objective == "dpo" ? .dpo : .margin)
    options.beta = beta ?? options.beta
    options.margin = margin ?? options.margin
    options.isLengthNormalized = length_normalized
    return options
  }
}

/// The pairs and cases of that file.
private struct PreferenceFile: Decodable {
  struct Pair: Decodable {
    var prompt: [Int32]
    var chosen: [Int32]
    var rejected: [Int32]

    /// The pair as a row to learn from.
    var example: Example {
      let none = prompt.map { _ in Example.noLabel }
      var example = Example(
        ids: prompt + chosen,
        labels: none + chosen,
        promptLength: prompt.count
      )
      example.rejected = Example.Answer(ids: prompt + rejected, labels: none + rejected)
      return example
    }
  }

  var pairs: [Pair]
  var cases: [PreferenceCase]

  static func read() throws -> PreferenceFile {
    try JSONDecoder().decode(PreferenceFile.self, from: Fixture.data("lora/preferences.json"))
  }
}

@Suite("Preferences")
struct PreferenceTests {
  @Test(
    "have the losses, rewards and gradients of PyTorch",
    arguments: try PreferenceFile.read().cases
  )
  func match(_ example: PreferenceCase) throws {
    let examples = try PreferenceFile.read().pairs.map(\.example)
    let model = try LoadedModel(path: Fixture.path("tiny/llama"))
    let adapter = try AdapterImport(format: .peft, source: Fixture.path("lora/llama"))
      .adapter(base: BaseModel(model), catalog: BuiltPlugins.catalog())
    let runner = BatchRunner(
      model: model.frozen,
      adapters: AdapterStack(adapter),
      budget: 40,
      preference: example.options
    )
    let gradients = adapter.parameters.makeGradients()
    let losses = try runner.lossesAndGradients(
      examples,
      keys: [0, 1, 2],
      gradients: gradients,
      scale: 1 / 3
    )
    for (found, (loss, rewards)) in zip(losses, zip(example.losses, example.rewards)) {
      #expect(abs(found.sum - loss) <= 1e-4 * max(1, loss) && found.labels == 1)
      for (a, b) in zip(found.outputs, rewards) {
        #expect(abs(Double(a) - b) <= 1e-4 * max(1, abs(b)))
      }
    }
    let again = try runner.losses(examples, keys: [0, 1, 2])
    #expect(zip(again, losses).allSatisfy { abs($0.sum - $1.sum) < 1e-6 * max(1, $1.sum) })
    let expected = try Safetensors.read(path: Fixture.path("lora/preferences.safetensors"))
    for (index, info) in adapter.parameters.infos.enumerated() {
      expectCloseNorm(
        Array(adapter.parameters.slice(of: gradients, index)),
        try expected.floats("\(example.name)/\(info.name)"),
        relative: 1e-3,
        info.name
      )
    }
  }

  private static let rows = (0..<8).map { row in
    #"{"instruction":"say \#(row)","input":"the","chosen":"and \#(row % 3)","#
      + #""rejected":"in the \#(row % 2)","output":"and"}"#
  }.joined(separator: "\n")

  @Test("are learnt by interventions, measured, judged by, and gone on with bit for bit")
  func run() throws {
    try withTinyRun { run in
      try run.write(text: Self.rows, to: "pairs.jsonl")
      let overrides = [
        "data.train=pairs.jsonl", "data.validation=pairs.jsonl", "train.objective=dpo",
        "train.beta=0.5", "train.epochs=4", "train.eval_every=2", "train.metric=accuracy",
        "interventions.0.layers=[2]",
      ]
      try run.train("whole", overrides)
      let records = try run.records("whole")
      #expect(records[0].metrics?[.accuracy] != nil && records[0].labelTokens == 4)
      let last = try #require(records.last)
      #expect(last.validationLoss ?? 1 < 0.6 && last.validationMetrics?[.accuracy] == 1)
      #expect(last.validationMetrics?[.rewardMargin] ?? 0 > 0)
      let error = #expect(throws: ReFTError.self) {
        try run.train("parts", overrides, endingAt: 3)
      }
      #expect(error?.code == .interrupted)
      try run.train("parts", overrides, mode: .resume)
      #expect(try run.tensors("parts") == run.tensors("whole"))
      try run.train("plain", overrides + ["train.cache_megabytes=0"])
      #expect(try run.tensors("plain") == run.tensors("whole"))
    }
  }

  @Test("start at the loss of equal answers where a LoRA starts at nothing")
  func start() throws {
    try withTinyRun { run in
      try run.write(text: Self.rows, to: "pairs.jsonl")
      let configuration = try RunConfiguration.parse(
        yaml: """
          model: tiny.gguf
          data: {train: pairs.jsonl}
          lora: {}
          train: {objective: dpo, max_steps: 2, learning_rate: 1.0e-2}
          output: out
          """,
        path: run.folder + "/run.yaml"
      )
      try Trainer(configuration: configuration, model: run.model, catalog: run.catalog).run()
      let records = try run.records("out")
      #expect(abs(records[0].loss - log(2)) < 1e-6 && records[1].loss < records[0].loss)
      #expect(records[0].metrics?[.rewardMargin] == 0)
    }
  }

  @Test("are refused in rows without two answers, beside a head, and keys without an objective")
  func refusals() throws {
    try withTinyRun { run in
      let rows = #expect(throws: ReFTError.self) {
        try run.train("a", ["train.objective=dpo"])
      }
      #expect(rows?.code == .badData && rows?.message.contains("\"chosen\"") == true)
      let key = #expect(throws: ReFTError.self) { try run.train("b", ["train.beta=0.2"]) }
      #expect(key?.message.contains("'train.beta' is of an objective for preferences") == true)
      let other = #expect(throws: ReFTError.self) {
        try run.train("c", ["train.objective=margin", "train.beta=0.2"])
      }
      #expect(other?.code == .badConfiguration)
      let head = #expect(throws: ReFTError.self) {
        try run.train("d", ["train.objective=dpo", "head.labels=2"])
      }
      #expect(head?.message.contains("leave one out") == true)
      try run.write(text: Self.rows, to: "pairs.jsonl")
      let learning = #expect(throws: ReFTError.self) {
        try run.train("e", ["data.train=pairs.jsonl"])
      }
      #expect(learning?.message.contains("train.objective") == true)
    }
  }
}
