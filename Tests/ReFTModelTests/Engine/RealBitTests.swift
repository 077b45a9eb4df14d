// SPDX-License-Identifier: Apache-2.0
// Equal bits on the real model, whose vocabulary is large enough for the head's sparse gradient.

import ReFTModel
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite("Equal bits on the real model", .requiresRealModel)
struct RealBitTests {
  private static let texts = [
    "The capital of France is Paris, and the capital of Italy is Rome.",
    "Ahoy! Three carrots, two potatoes and a tomato make a fine soup.",
    "for i in range(10): print(i * i)",
  ]

  private func tokenizer() throws -> Tokenizer {
    try Tokenizer(gguf: GGUFFile(path: RealModel.required()))
  }

  /// Losses and the gradient of a vector added to tokens of the first sequence.
  private func run(
    _ model: FrozenModel,
    _ texts: [String],
    pool: ThreadPool
  ) throws -> (losses: [Float], gradient: [Float]) {
    var batch = PackedBatch()
    for text in texts {
      let ids = try tokenizer().encode(text)
      batch.append(ids: ids, labels: ids.enumerated().map { $0 < 4 ? -100 : $1 })
    }
    let site = Site(block: 27, component: .blockOutput)
    let editor = AffineEditor(
      vectors: EngineFixture.vectors([site], of: model, scale: 0.5, seed: 3),
      weights: [(1, 1), (3, -0.5), (6, 2)]
    )
    let pass = ModelRuntime(model: model, pool: pool)
    let losses = try pass.lossAndGradient(batch, editor: editor, scale: 0.125)
    return (losses, editor.gradients[site] ?? [])
  }

  @Test("do not depend on the threads or on the other sequences of the batch")
  func company() throws {
    let model = try FrozenModel(path: RealModel.required())
    let alone = try run(model, [Self.texts[0]], pool: EngineFixture.pools[0])
    #expect(alone.gradient.contains { $0 != 0 })
    for pool in EngineFixture.pools {
      let together = try run(model, Self.texts, pool: pool)
      expectIdentical(Array(together.losses.prefix(alone.losses.count)), alone.losses)
      expectIdentical(together.gradient, alone.gradient, "with \(pool.threadCount) threads")
    }
  }

  @Test("the loss falls along the gradient as fast as the gradient says")
  func slope() throws {
    let model = try FrozenModel(path: RealModel.required())
    let ids = try tokenizer().encode(Self.texts.joined(separator: " "))
    var batch = PackedBatch()
    batch.append(ids: ids, labels: ids.enumerated().map { $0 < 4 ? -100 : $1 })
    let site = Site(block: 28, component: .blockOutput)
    // Every row is edited, so that all of the head's gradient is in the vector's.
    let weights = ids.indices.map { (token: $0, weight: Float(1)) }
    let width = model.configuration.hiddenSize
    let pass = ModelRuntime(model: model)
    let editor = AffineEditor(
      vectors: [site: [Float](repeating: 0, count: width)],
      weights: weights
    )
    _ = try pass.lossAndGradient(batch, editor: editor, scale: 1)
    let gradient = try #require(editor.gradients[site])
    let norm = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    func loss(_ step: Float) throws -> Double {
      let moved = AffineEditor(
        vectors: [site: gradient.map { step * $0 / Float(norm) }],
        weights: weights
      )
      return try pass.loss(batch, editor: moved).reduce(0.0) { $0 + Double($1) }
    }
    let step: Float = 0.05
    let slope = try (loss(step) - loss(-step)) / Double(2 * step)
    #expect(abs(slope - norm) < 2e-3 * norm, "slope \(slope), gradient's norm \(norm)")
  }
}
