// SPDX-License-Identifier: Apache-2.0
// Losses and gradients of LoRAs that PEFT saved, for every way in which families hold their matrices.

import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("LoRA against PEFT")
struct LoRAParityTests {
  private func expectGradients(_ found: FloatBuffer, _ adapter: Adapter, _ expected: Adapter) {
    for (index, info) in adapter.parameters.infos.enumerated() {
      expectCloseNorm(
        Array(adapter.parameters.slice(of: found, index)),
        Array(expected.parameters.tensor(index)),
        relative: 1e-3,
        info.name
      )
    }
  }

  @Test(
    "gives the loss and the gradients of PEFT",
    arguments: try LoRAFixture.all().filter { $0.model != "bert" }
  )
  func match(_ fixture: LoRAFixture) throws {
    let model = try LoadedModel(path: fixture.modelFolder)
    let adapter = try fixture.adapter(model)
    let runtime = ModelRuntime(model: model.frozen)
    let (loss, gradients) = try LoRABatch(fixture, adapter).gradients(runtime, of: adapter)
    #expect(abs(loss - fixture.loss) <= 1e-4)
    expectGradients(gradients, adapter, try fixture.adapter(model, gradients: true))
  }

  @Test("gives them in a GGUF file, whose rows of queries and keys have another order")
  func reordered() throws {
    let fixture = try LoRAFixture.named("llama")
    try withTemporaryDirectory { folder in
      let source = try ModelFolder(path: fixture.modelFolder)
      let path = folder + "/tiny.gguf"
      try ModelConversion(source, as: .f32, text: []).write(to: path)
      let model = try FrozenModel(path: path)
      #expect(model.configuration.hasReorderedHeads)
      let base = BaseModel(configuration: model.configuration, fingerprint: model.fingerprint)
      let adapter = try fixture.adapter(base)
      let runtime = ModelRuntime(model: model)
      let (loss, gradients) = try LoRABatch(fixture, adapter).gradients(runtime, of: adapter)
      #expect(abs(loss - fixture.loss) <= 1e-4)
      expectGradients(gradients, adapter, try fixture.adapter(base, gradients: true))
    }
  }

  private struct Classes: Decodable {
    var ids: [[Int32]]
    var labels: [Int]
  }

  @Test("gives them in an encoder")
  func encoder() throws {
    let fixture = try LoRAFixture.named("bert")
    let data = try Fixture.data("tiny/bert/expected.json")
    let rows = try JSONDecoder().decode(Classes.self, from: data)
    let model = try LoadedModel(path: fixture.modelFolder)
    let adapter = try fixture.adapter(model)
    var batch = LoRABatch()
    for ids in rows.ids { batch.append(ids, ids.map { _ in -100 }, adapter) }
    let gradients = adapter.parameters.makeGradients()
    let session = try EditSession(
      batch.edits,
      mode: .training(gradients: gradients, randomKey: 0, randomStep: 0)
    )
    var loss = 0.0
    _ = try ModelRuntime(model: model.frozen).classLogitsAndGradient(
      of: batch.packed,
      editor: session
    ) { logits in
      zip(logits, rows.labels).flatMap { row, label in
        let total = row.reduce(0.0) { $0 + exp(Double($1)) }
        loss -= (Double(row[label]) - log(total)) / Double(rows.labels.count)
        return row.enumerated().map { place, value in
          Float((exp(Double(value)) / total - (place == label ? 1 : 0)) / Double(rows.labels.count))
        }
      }
    }
    #expect(abs(loss - fixture.loss) <= 1e-4)
    expectGradients(gradients, adapter, try fixture.adapter(model, gradients: true))
  }
}
