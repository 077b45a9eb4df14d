// SPDX-License-Identifier: Apache-2.0
// The engine against the reference numbers of Gemma 3 270M.

import Foundation
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Parity with the reference on Gemma 3", .serialized, .requiresGemma)
struct GemmaParityTests {
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

  private func load<T: Decodable>(_ name: String) throws -> T {
    try JSONDecoder().decode(T.self, from: Fixture.data("gemma3-270m/\(name)"))
  }

  @Test("the frozen model's loss and top logits match")
  func forward() throws {
    let model = try FrozenModel(path: try RealModel.requiredGemma())
    let runtime = ModelRuntime(model: model, precision: .float32)
    let cases: [ForwardCase] = try load("forward.json")
    #expect(cases.count == 4)
    for item in cases {
      var batch = PackedBatch()
      batch.append(ids: item.ids, labels: item.ids)
      let losses = try runtime.loss(batch, editor: nil)
      let mean = losses.reduce(0) { $0 + Double($1) } / Double(losses.count)
      #expect(abs(mean - item.loss) <= 2e-4, "\(item.text)")
      let cache = try runtime.makeCache(capacity: item.ids.count)
      let logits = try runtime.step([(cache, item.ids)], editor: nil)
      for pair in item.last_logits_top10 {
        #expect(abs(Double(logits[Int(pair[0])]) - pair[1]) <= 5e-3)
      }
    }
  }

  @Test(
    "greedy continuations match token by token",
    arguments: [DecodePrecision.float32, .int16]
  )
  func greedy(precision: DecodePrecision) throws {
    let model = try FrozenModel(path: try RealModel.requiredGemma())
    let runtime = ModelRuntime(model: model, precision: precision)
    let cases: [GreedyCase] = try load("greedy.json")
    #expect(cases.count == 4)
    for item in cases {
      let cache = try runtime.makeCache(capacity: item.prompt_ids.count + item.new_ids.count)
      var next = item.prompt_ids
      var found: [Int32] = []
      while found.count < item.new_ids.count {
        let logits = try runtime.step([(cache, next)], editor: nil)
        let best = logits.indices.max { logits[$0] < logits[$1] } ?? 0
        next = [Int32(best)]
        found += next
      }
      #expect(found == item.new_ids)
    }
  }
}
