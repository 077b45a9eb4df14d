// SPDX-License-Identifier: Apache-2.0
// A plugin that decides at the prompt's last token and acts on generated ones: in batches, beside
// requests that fail, in processes of their own, and in training.

import Foundation
import ReFTGeneration
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite("Steering that the prompt turns on")
struct GatedSteeringTests {
  /// Gated steering in the last block; `sign` turns its condition over, so that what is open for a
  /// prompt with one sign is closed with the other.
  private func gated(
    _ model: LoadedModel,
    sign: Float = 1,
    softness: Double = 0,
    strength: Float = 400,
    positions: String = "l1+decode",
    isolation: Isolation = .none
  ) throws -> Adapter {
    let layer = model.configuration.layers - 1
    let spec = InterventionSpec(
      plugin: "gated-steering",
      layers: [layer],
      positions: try PositionRule(positions),
      options: ["softness": .float(softness)],
      isolation: isolation
    )
    let adapter = try Adapter.create(
      specs: [spec],
      model: model,
      catalog: BuiltPlugins.catalog(),
      seed: 1
    )
    func tensor(_ name: String) throws -> UnsafeMutableBufferPointer<Float> {
      let key = "interventions.0.layers.\(layer).\(name)"
      return adapter.parameters.tensor(try #require(adapter.parameters.index(of: key)))
    }
    var random = SeededGenerator(seed: 3)
    let (condition, vector) = (try tensor("condition"), try tensor("vector"))
    for index in condition.indices { condition[index] = sign * random.normal() }
    for index in vector.indices { vector[index] = strength * random.normal() }
    return adapter
  }

  private func request(_ prompt: String, _ adapter: Adapter?, _ tokens: Int) -> GenerationRequest {
    GenerationRequest(.text(prompt), maxTokens: tokens, adapter: adapter, ignoresEnd: true)
  }

  private func withModel(_ body: (LoadedModel) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      try body(try LoadedModel(path: TinyModel().write(in: folder)))
    }
  }

  @Test("edits generated tokens where the prompt opens the gate, and none where it does not")
  func decides() throws {
    try withModel { model in
      let generator = TextGenerator(model: model)
      func ids(_ prompt: String, _ sign: Float?) throws -> [Int32] {
        let adapter = try sign.map { try gated(model, sign: $0) }
        return try generator.generate([request(prompt, adapter, 6)])[0].ids
      }
      for prompt in ["the man in a", "a man", "re is an"] {
        let plain = try ids(prompt, nil)
        let both = [try ids(prompt, 1), try ids(prompt, -1)]
        #expect(both.filter { $0 == plain }.count == 1, "\(prompt)")
        // The vector outweighs everything else: where the gate is open, one token wins from the first on.
        #expect(both.contains { Set($0).count == 1 && $0[0] != plain[0] }, "\(prompt)")
      }
    }
  }

  @Test("keeps one state for each text of a batch", arguments: [2, 3, 6])
  func batches(size: Int) throws {
    try withModel { model in
      let generator = TextGenerator(model: model)
      let adapters = [try gated(model), try gated(model, sign: -1), nil]
      let requests = (0..<6).map { index in
        request(
          ["the man in a", "a man", "in on of"][index / 2],
          adapters[index % 3],
          3 + index
        )
      }
      let alone = try requests.map { try generator.generate([$0])[0].ids }
      #expect(try generator.generate(requests, batchSize: size).map(\.ids) == alone)
    }
  }

  @Test("a step that fails and is made again finds the states that it began with")
  func failingNeighbour() throws {
    try withModel { model in
      // Its edits are infinite from the second generated token on.
      let broken = try gated(model, strength: .infinity, positions: "none+decode")
      let good = [
        request("the man in a", try gated(model), 5),
        request("a man", try gated(model, sign: -1), 6),
      ]
      let alone = try good.map { try TextGenerator(model: model).generate([$0])[0].ids }
      let batch = try GenerationBatch(model: model, size: 3)
      for next in [good[0], request("in on", broken, 5), good[1]] { try batch.submit(next) }
      var ids: [Int: [Int32]] = [:]
      while !batch.isIdle {
        for case .finished(let number, let result) in batch.step() { ids[number] = result.ids }
      }
      #expect(ids[0] == alone[0] && ids[2] == alone[1])
    }
  }

  @Test("writes the same texts in a process of its own")
  func isolated() throws {
    try withModel { model in
      let texts = try [Isolation.none, .process].map { isolation in
        let requests = try [Float(1), -1].map {
          request("the man in a", try gated(model, sign: $0, isolation: isolation), 6)
        }
        return try TextGenerator(model: model).generate(requests, batchSize: 2).map(\.ids)
      }
      #expect(texts[0] == texts[1])
    }
  }

  @Test("trains over prompt and completion in one call, alike in a process of its own")
  func training() throws {
    try withModel { model in
      var batch = PackedBatch()
      batch.append(ids: [5, 9, 3, 7, 11, 2], labels: [-100, -100, -100, 7, 11, 2])
      let results = try [Isolation.none, .process].map { isolation in
        let adapter = try gated(
          model,
          softness: 0.2,
          strength: 0.1,
          positions: "all+decode",
          isolation: isolation
        )
        let gradients = adapter.parameters.makeGradients()
        let edit = SequenceEdit(adapter: adapter, start: 0, count: 6, promptLength: 4)
        let losses = try ModelRuntime(model: model.frozen).lossAndGradient(
          batch,
          editor: EditSession(
            [edit],
            mode: .training(gradients: gradients, randomKey: 1, randomStep: 0)
          ),
          scale: 1
        )
        // A second pass begins the sequence anew: the state is zero again, and the losses are the same.
        let again = try ModelRuntime(model: model.frozen).loss(batch, editor: EditSession([edit]))
        expectClose(losses, again, tolerance: 1e-6)
        return (losses: losses, gradients: Array(gradients.values))
      }
      expectIdentical(results[0].losses, results[1].losses)
      expectIdentical(results[0].gradients, results[1].gradients)
      #expect(results[0].gradients.prefix(16).contains { $0 != 0 }, "the condition has a gradient")
    }
  }
}
