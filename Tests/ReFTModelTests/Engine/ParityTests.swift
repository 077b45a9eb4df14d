// SPDX-License-Identifier: Apache-2.0
// The engine against the reference numbers of the real model.

import Foundation
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

private struct ForwardCase: Decodable {
  var text: String
  var ids: [Int32]
  var loss: Double
  var last_logits_top10: [[Double]]
}

private struct GreedyCase: Decodable {
  var prompt_ids: [Int32]
  var new_ids: [Int32]
}

private struct GoldenCase: Decodable {
  var prompt_ids: [[Int32]]
  var completion_ids: [[Int32]]
  var positions: [[Int]]
  var loss: Double
  var frozen_loss: Double
}

@Suite("Parity with the reference on the real model", .requiresRealModel)
struct ParityTests {
  private func load<T: Decodable>(_ name: String) throws -> T {
    let data = try Fixture.data("smollm2/\(name)")
    return try JSONDecoder().decode(T.self, from: data)
  }

  @Test("the frozen model's loss and top logits match")
  func forward() throws {
    let model = try FrozenModel(path: try RealModel.required())
    let training = ModelRuntime(model: model)
    let inference = ModelRuntime(model: model, precision: .float32)
    let cases: [ForwardCase] = try load("forward.json")
    for item in cases {
      var batch = PackedBatch()
      batch.append(ids: item.ids, labels: item.ids)
      let losses = try training.loss(batch, editor: nil)
      let mean = losses.reduce(0) { $0 + Double($1) } / Double(losses.count)
      #expect(abs(mean - item.loss) <= 1e-4, "\(item.text)")
      let cache = try KVCache(model: model, capacity: item.ids.count)
      let logits = try inference.step([(cache, item.ids)], editor: nil)
      for pair in item.last_logits_top10 {
        #expect(abs(Double(logits[Int(pair[0])]) - pair[1]) <= 2e-3)
      }
    }
  }

  @Test(
    "greedy continuations match token by token",
    arguments: [DecodePrecision.float32, .int16]
  )
  func greedy(precision: DecodePrecision) throws {
    let model = try FrozenModel(path: try RealModel.required())
    let inference = ModelRuntime(model: model, precision: precision)
    let cases: [GreedyCase] = try load("greedy.json")
    for item in cases {
      let cache = try inference.makeCache(capacity: item.prompt_ids.count + item.new_ids.count)
      var next = item.prompt_ids
      var found: [Int32] = []
      while found.count < item.new_ids.count {
        let logits = try inference.step([(cache, next)], editor: nil)
        let best = logits.indices.max { logits[$0] < logits[$1] } ?? 0
        next = [Int32(best)]
        found += next
      }
      #expect(found == item.new_ids)
    }
  }

  @Test("an added vector gives the reference's loss and gradient, in one batch or one by one")
  func additive() throws {
    let model = try FrozenModel(path: try RealModel.required())
    let training = ModelRuntime(model: model)
    let item: GoldenCase = try load("additive_r0_f0l5_1layers.json")
    let file = try Safetensors.read(
      path: Fixture.path("smollm2/additive_r0_f0l5_1layers.safetensors")
    )
    let vector = try file.floats("layers.12.v")
    let expected = try file.floats("grad.layers.12.v")
    var batch = PackedBatch()
    var tokens: [Int] = []
    for (index, prompt) in item.prompt_ids.enumerated() {
      let completion = item.completion_ids[index]
      tokens += item.positions[index].map { $0 + batch.tokens.count }
      batch.append(
        ids: prompt + completion,
        labels: [Int32](repeating: -100, count: prompt.count) + completion
      )
    }
    let site = Site(block: 12, component: .blockOutput)
    let editor = AffineEditor(vectors: [site: vector], weights: tokens.map { ($0, 1) })
    let frozen = try training.loss(batch, editor: nil)
    let scale = 1 / Float(batch.labels.count)
    let losses = try training.lossAndGradient(batch, editor: editor, scale: scale)
    #expect(abs(Double(frozen.reduce(0, +) * scale) - item.frozen_loss) <= 1e-4)
    #expect(abs(Double(losses.reduce(0, +) * scale) - item.loss) <= 1e-4)
    expectCloseNorm(editor.gradients[site] ?? [], expected, relative: 1e-3)
  }
}
