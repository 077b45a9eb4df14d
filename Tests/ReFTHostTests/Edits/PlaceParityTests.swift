// SPDX-License-Identifier: Apache-2.0
// Loss and gradients of edits of heads, tied, untied and weighted, on a tiny llama, against PyTorch.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

/// One case of Tests/Fixtures/places, made by make_places.py there.
struct PlaceCase: Decodable, Sendable, CustomTestStringConvertible {
  var name: String
  var component: Component
  var layers: [Int]
  var positions: String
  var share_weights: String
  var heads: [Int]?
  var tie: [String]
  var loss: Double
  var testDescription: String { name }

  private struct Cases: Decodable { var cases: [PlaceCase] }

  static func all() throws -> [PlaceCase] {
    try JSONDecoder().decode(Cases.self, from: Fixture.data("places/places.json")).cases
  }

  /// The intervention that it describes.
  func spec() throws -> InterventionSpec {
    InterventionSpec(
      plugin: "loreft",
      layers: layers,
      component: component,
      positions: try PositionRule(positions),
      options: ["rank": .int(2)],
      sharing: WeightSharing(word: share_weights),
      heads: heads,
      tie: Set(tie.compactMap(TieAxis.init))
    )
  }
}

@Suite("Heads, ties and untied positions on a tiny llama")
struct PlaceParityTests {
  private struct Batch: Decodable {
    var ids: [[Int32]]
    var labels: [[Int32]]
  }

  @Test("give the loss and the gradients of the reference", arguments: try PlaceCase.all())
  func match(_ example: PlaceCase) throws {
    let model = try LoadedModel(path: Fixture.path("tiny/llama"))
    let facts = try JSONDecoder().decode(
      Batch.self,
      from: Fixture.data("tiny/llama/expected.json")
    )
    let adapter = try Adapter.create(
      specs: [example.spec()],
      model: model,
      catalog: try BuiltPlugins.catalog(),
      seed: 1
    )
    let tensors = try Safetensors.read(path: Fixture.path("places/places.safetensors"))
    let names = tensors.names.filter { $0.hasPrefix(example.name + "/") }
    #expect(names.count == adapter.parameters.infos.count)
    for (index, info) in adapter.parameters.infos.enumerated() {
      let values = try tensors.floats("\(example.name)/\(info.name)")
      _ = adapter.parameters.tensor(index).update(fromContentsOf: values)
    }
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
    let gradients = adapter.parameters.makeGradients()
    let session = try EditSession(
      edits,
      mode: .training(gradients: gradients, randomKey: 1, randomStep: 0)
    )
    let losses = try ModelRuntime(model: model.frozen).lossAndGradient(
      batch,
      editor: session,
      scale: 1 / Float(batch.labels.count)
    )
    let loss = losses.reduce(0) { $0 + Double($1) } / Double(losses.count)
    #expect(abs(loss - example.loss) <= 1e-4)
    for (index, info) in adapter.parameters.infos.enumerated() {
      expectCloseNorm(
        Array(adapter.parameters.slice(of: gradients, index)),
        try tensors.floats("grad/\(example.name)/\(info.name)"),
        relative: 1e-3,
        info.name
      )
    }
  }
}
