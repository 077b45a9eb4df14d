// SPDX-License-Identifier: Apache-2.0
// Loss and gradients of our plugins on a real model, against PyTorch.

import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Interventions on SmolLM2", .serialized, .requiresRealModel)
struct ParityTests {
  static let model: LoadedModel? = RealModel.path.flatMap { try? LoadedModel(path: $0) }

  @Test(
    "give the loss and the gradients of the reference",
    arguments: [
      "loreft_r4_f3l3_4layers", "direft_r4_f3l3_4layers", "nodireft_r4_f1l0_3layers",
      "noreft_r4_f0l1_3layers", "consreft_r4_f2l2_2layers", "lobireft_r4_f2l2_2layers",
      "additive_r0_f0l5_1layers",
    ]
  )
  func match(_ name: String) throws {
    try expectMatch(ParityFixture(name), try #require(Self.model), tolerance: 1e-4)
  }
}

@Suite("Interventions on Gemma 3", .serialized, .requiresGemma)
struct GemmaParityTests {
  @Test(
    "give the loss and the gradients of the reference",
    arguments: ["loreft_r4_f3l3_5layers", "nodireft_r4_f1l2_2layers", "additive_r0_f0l5_1layers"]
  )
  func match(_ name: String) throws {
    let model = try LoadedModel(path: RealModel.requiredGemma())
    try expectMatch(ParityFixture(name, model: "gemma3-270m"), model, tolerance: 2e-4)
  }
}

/// Compares loss and gradients of a fixture's adapter with its numbers.
private func expectMatch(
  _ fixture: ParityFixture,
  _ model: LoadedModel,
  tolerance: Double
) throws {
  try withTemporaryDirectory { folder in
    try fixture.writeAdapter(to: folder + "/a", model: model)
    let adapter = try Adapter.load(
      path: folder + "/a",
      model: model,
      catalog: try BuiltPlugins.catalog()
    )
    #expect(adapter.warnings == [])
    let (batch, edits) = fixture.batch(adapter: adapter)
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
    #expect(abs(loss - fixture.facts.loss) <= tolerance)
    for expected in try fixture.parameters("grad.") {
      let index = try #require(adapter.parameters.index(of: expected.name))
      expectCloseNorm(
        Array(adapter.parameters.slice(of: gradients, index)),
        expected.values,
        relative: 1e-3,
        expected.name
      )
    }
  }
}
