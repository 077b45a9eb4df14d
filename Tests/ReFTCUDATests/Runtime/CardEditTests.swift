// SPDX-License-Identifier: Apache-2.0
// Edits of adapters on a card against the same edits on the processor.

import ReFTCUDA
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Edits of adapters on a card")
struct CardEditTests {
  private func withModel(_ body: (LoadedModel) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      try body(try LoadedModel(path: TinyModel().write(in: folder)))
    }
  }

  private func adapter(
    _ spec: InterventionSpec,
    _ model: LoadedModel,
    seed: UInt64
  ) throws -> Adapter {
    let adapter = try Adapter.create(
      specs: [spec],
      model: model,
      catalog: BuiltPlugins.catalog(),
      seed: seed
    )
    for (index, info) in adapter.parameters.infos.enumerated() where info.shape.count == 1 {
      let values = adapter.parameters.tensor(index)
      for place in values.indices { values[place] += Float(place % 5) * 0.2 }
    }
    return adapter
  }

  /// The losses of two sequences on the processor and on the card.
  private func losses(
    _ stacks: [AdapterStack],
    _ model: LoadedModel
  ) throws -> (here: [Float], card: [Float]) {
    var batch = PackedBatch()
    var edits: [SequenceEdit] = []
    for (index, stack) in stacks.enumerated() {
      let ids = (0..<9).map { Int32(3 + ($0 * 7 + index * 5) % 20) }
      edits.append(
        SequenceEdit(
          adapters: stack,
          start: batch.tokens.count,
          count: ids.count,
          promptLength: 6,
          promptTokens: ids.prefix(6)
        )
      )
      batch.append(ids: ids, labels: ids)
    }
    let card = try CUDARuntime(model: model.frozen, device: EmulatedCard.open(), isExact: true)
    return (
      try ModelRuntime(model: model.frozen).loss(batch, editor: EditSession(edits), from: nil),
      try card.loss(batch, editor: EditSession(edits), from: nil)
    )
  }

  @Test("several adapters with strengths, in a batch of different lists, give the same losses")
  func composition() throws {
    try withModel { model in
      let positions = try PositionRule("f2+l2")
      let specs = ["loreft", "red"].map {
        InterventionSpec(plugin: $0, layers: [0, 1], positions: positions)
      }
      let (one, two) = (
        try adapter(specs[0], model, seed: 1), try adapter(specs[1], model, seed: 2)
      )
      let stacks = [
        AdapterStack([.init(one), .init(two, strength: 0.5)]),
        AdapterStack([.init(two, strength: -1)]), AdapterStack(),
        AdapterStack([.init(two), .init(one, strength: 0.3)], rule: .sequential),
      ]
      let (here, card) = try losses(stacks, model)
      expectClose(card, here, tolerance: 1e-4, "losses")
      let plain = try losses(stacks.map { _ in AdapterStack() }, model).here
      #expect(zip(here, plain).contains { abs($0 - $1) > 1e-2 })
    }
  }

  @Test(
    "heads singly, tied and untied, with weights of positions: losses and gradients",
    arguments: [ReFTModel.Component.queryOutput, .keyOutput, .valueOutput, .attentionValueOutput]
  )
  func heads(component: ReFTModel.Component) throws {
    try withModel { model in
      let spec = InterventionSpec(
        plugin: "loreft",
        layers: [0, 1],
        component: component,
        positions: try PositionRule("[1]*0.5+l2"),
        sharing: WeightSharing.none,
        heads: [1],
        tie: [.layers]
      )
      let adapter = try adapter(spec, model, seed: 1)
      let stacks = [AdapterStack(adapter), AdapterStack(adapter)]
      let (here, card) = try losses(stacks, model)
      expectClose(card, here, tolerance: 1e-4, "losses")
      let slopes = try gradients(adapter, model)
      for index in adapter.parameters.infos.indices {
        expectCloseNorm(
          Array(adapter.parameters.slice(of: slopes.card, index)),
          Array(adapter.parameters.slice(of: slopes.here, index)),
          relative: 1e-3,
          adapter.parameters.infos[index].name
        )
      }
    }
  }

  private func gradients(
    _ adapter: Adapter,
    _ model: LoadedModel
  ) throws -> (here: FloatBuffer, card: FloatBuffer) {
    var batch = PackedBatch()
    let ids = (0..<9).map { Int32(3 + $0) }
    batch.append(ids: ids, labels: ids)
    func run(_ runtime: any DeviceRuntime) throws -> FloatBuffer {
      let buffer = adapter.parameters.makeGradients()
      let session = try EditSession(
        [SequenceEdit(adapter: adapter, start: 0, count: 9, promptLength: 6)],
        mode: .training(gradients: buffer, randomKey: 0, randomStep: 0)
      )
      _ = try runtime.lossAndGradient(batch, editor: session, scale: 1, from: nil)
      return buffer
    }
    let card = try CUDARuntime(model: model.frozen, device: EmulatedCard.open(), isExact: true)
    return (try run(ModelRuntime(model: model.frozen)), try run(card))
  }
}
