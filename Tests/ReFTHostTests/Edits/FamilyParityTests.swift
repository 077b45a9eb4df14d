// SPDX-License-Identifier: Apache-2.0
// Loss and gradients of the plugins beside the paper's on a tiny llama, against PyTorch.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

/// One case of Tests/Fixtures/family, made by make_family.py there.
struct FamilyCase: Decodable, Sendable, CustomTestStringConvertible {
  var name: String
  var plugin: String
  var options: [String: OptionValue]
  var loss: Double
  var auxiliary: Double?
  var testDescription: String { name }

  private struct Cases: Decodable {
    var cases: [FamilyCase]
  }

  static func all() throws -> [FamilyCase] {
    try JSONDecoder().decode(Cases.self, from: Fixture.data("family/family.json")).cases
  }
}

@Suite("The family of edits on a tiny llama")
struct FamilyParityTests {
  private struct Batch: Decodable {
    var ids: [[Int32]]
    var labels: [[Int32]]
    var layer: Int
    var rule: String
    var positions: [[Int]]
  }

  @Test("gives the loss and the gradients of the reference", arguments: try FamilyCase.all())
  func match(_ example: FamilyCase) throws {
    let model = try LoadedModel(path: Fixture.path("tiny/llama"))
    let facts = try JSONDecoder().decode(
      Batch.self,
      from: Fixture.data("tiny/llama/expected.json")
    )
    let adapter = try Adapter.create(
      specs: [
        InterventionSpec(
          plugin: example.plugin,
          layers: [facts.layer],
          positions: try PositionRule(facts.rule),
          options: example.options
        )
      ],
      model: model,
      catalog: try BuiltPlugins.catalog(),
      seed: 1
    )
    let prefix = "interventions.0.layers.\(facts.layer)."
    let tensors = try Safetensors.read(path: Fixture.path("family/family.safetensors"))
    for (index, info) in adapter.parameters.infos.enumerated() {
      let values = try tensors.floats("\(example.name).\(info.name.dropFirst(prefix.count))")
      let tensor = adapter.parameters.tensor(index)
      try #require(tensor.count == values.count, "\(info.name)")
      for place in values.indices { tensor[place] = values[place] }
    }

    let runtime = ModelRuntime(model: model.frozen)
    let (batch, edits) = try batch(of: facts, adapter, runtime)
    let gradients = adapter.parameters.makeGradients()
    let session = try EditSession(
      edits,
      mode: .training(gradients: gradients, randomKey: 1, randomStep: 0),
      auxiliaryScale: example.auxiliary == nil ? nil : 1 / Double(edits.count)
    )
    let losses = try runtime.lossAndGradient(
      batch,
      editor: session,
      scale: 1 / Float(batch.labels.count)
    )
    let loss = losses.reduce(0) { $0 + Double($1) } / Double(losses.count)
    #expect(abs(loss - example.loss) <= 1e-4)
    let auxiliary = session.auxiliarySum / Double(edits.count)
    #expect(abs(auxiliary - (example.auxiliary ?? 0)) <= 1e-4)
    for (index, info) in adapter.parameters.infos.enumerated() {
      expectCloseNorm(
        Array(adapter.parameters.slice(of: gradients, index)),
        try tensors.floats("grad.\(example.name).\(info.name.dropFirst(prefix.count))"),
        relative: 1e-3,
        info.name
      )
    }
  }

  /// The sequences; the source prompt of each is that of the next one.
  private func batch(
    of facts: Batch,
    _ adapter: Adapter,
    _ runtime: ModelRuntime
  ) throws -> (PackedBatch, [SequenceEdit]) {
    var batch = PackedBatch()
    var edits: [SequenceEdit] = []
    for (ids, labels) in zip(facts.ids, facts.labels) {
      let prompt = labels.prefix { $0 == -100 }.count
      edits.append(
        SequenceEdit(
          adapter: adapter,
          start: batch.tokens.count,
          count: ids.count,
          promptLength: prompt,
          promptTokens: ids[..<prompt]
        )
      )
      batch.append(ids: ids, labels: labels)
    }
    if adapter.needsCounterpart {
      let prompts = edits.map { Array($0.promptTokens) }
      let rows = try CounterpartRows.compute(
        AdapterStack(adapter),
        prompts: prompts,
        runtime: runtime
      )
      for index in edits.indices { edits[index].counterpart = rows[(index + 1) % rows.count] }
    }
    return (batch, edits)
  }
}
