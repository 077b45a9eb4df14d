// SPDX-License-Identifier: Apache-2.0
// What a LoRA makes of a token depends on its sequence alone: not on threads, neighbours, shared rows, the
// start of the pass, or pieces of a prompt.

import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("LoRA in batches")
struct LoRABitTests {
  private let fixture: LoRAFixture
  private let model: LoadedModel
  private let adapter: Adapter
  private let rows: (ids: [[Int32]], labels: [[Int32]])

  init() throws {
    fixture = try LoRAFixture.named("llama")
    model = try LoadedModel(path: fixture.modelFolder)
    adapter = try fixture.adapter(model)
    rows = try fixture.rows()
  }

  private func runtime(threads: Int = 2) throws -> ModelRuntime {
    ModelRuntime(model: model.frozen, pool: ThreadPool(threadCount: threads))
  }

  /// A LoRA of some blocks, with numbers in B.
  private func made(_ layers: [Int], dropout: Double = 0, seed: UInt64 = 3) throws -> Adapter {
    let adapter = try Adapter.create(
      specs: [],
      lora: LoRASpec(
        rank: 3,
        dropout: dropout,
        targets: [.queryKeyValue, .attentionOutput, .gate, .down],
        layers: layers
      ),
      model: model,
      catalog: BuiltPlugins.catalog(),
      seed: seed
    )
    for (index, info) in adapter.parameters.infos.enumerated() where info.name.hasSuffix("B") {
      let random = CounterRandom(key: seed, step: UInt64(index))
      random.fillNormal(adapter.parameters.tensor(index))
      for place in 0..<info.count { adapter.parameters.tensor(index)[place] *= 0.2 }
    }
    return adapter
  }

  private func losses(_ adapter: Adapter?, _ ids: [Int32], _ labels: [Int32]) throws -> [Float] {
    var batch = LoRABatch()
    batch.append(ids, labels, adapter)
    return try batch.losses(runtime())
  }

  @Test("LoRAs add up, each times its strength, and two of one matrix are refused under error")
  func strengths() throws {
    let (one, other) = (try made([0, 2]), try made([1], seed: 4))
    let (ids, labels) = (rows.ids[0], rows.labels[0])
    func losses(_ stack: AdapterStack) throws -> [Float] {
      var batch = LoRABatch()
      batch.append(ids, labels, nil)
      batch.edits[0].adapters = stack
      return try batch.losses(runtime())
    }
    let (half, frozen) = (AdapterStack.Part(one, strength: 0.5), try self.losses(nil, ids, labels))
    #expect(try losses(AdapterStack([.init(one, strength: 0)])) == frozen)
    #expect(try losses(AdapterStack([.init(one)])) == self.losses(one, ids, labels))
    let halves = AdapterStack([half, .init(other), half])
    expectClose(
      try losses(halves),
      try losses(AdapterStack([.init(other), .init(one)])),
      tolerance: 1e-4
    )
    #expect(throws: ReFTError.self) { try losses(AdapterStack([half, half], rule: .error)) }
    _ = try losses(AdapterStack([half, .init(other)], rule: .error))
  }

  @Test("each sequence has its own adapter or none, and the bits that it has alone")
  func ownAdapters() throws {
    let other = try made([0, 2])
    let (ids, labels) = (rows.ids[0], rows.labels[0])
    var batch = LoRABatch()
    for adapter in [other, nil, adapter, other] { batch.append(ids, labels, adapter) }
    let together = try batch.losses(runtime())
    let alone = try [other, nil, adapter, other].flatMap { try losses($0, ids, labels) }
    #expect(together == alone)
    #expect(Set(alone).count == 3 * labels.count { $0 >= 0 })
  }

  @Test("equal beginnings share their rows, and gradients their bits on any number of threads")
  func sharedPrefix() throws {
    let common = Array(rows.ids[0].prefix(9))
    var batch = LoRABatch()
    for last in [rows.ids[0][9...], rows.ids[1][...]] {
      let ids = common + last
      batch.append(ids, common.map { _ in -100 } + last, adapter)
      #expect(try EditSession(batch.edits).sharedPrefixLimit == Int.max)
    }
    let apart = try (0..<2).flatMap { index in
      let segment = batch.packed.segments[index]
      let ids = Array(batch.packed.tokens[segment.start..<segment.start + segment.count])
      return try losses(adapter, ids, common.map { _ in -100 } + ids[9...])
    }
    #expect(try batch.losses(runtime()) == apart)
    let one = try batch.gradients(runtime(threads: 1), of: adapter)
    let two = try batch.gradients(runtime(threads: 2), of: adapter)
    #expect(Array(one.buffer.values) == Array(two.buffer.values))
    batch.edits[1].adapters = AdapterStack()
    #expect(try EditSession(batch.edits).sharedPrefixLimit == 0)
  }

  @Test("a pass may start at the lowest updated block, and not above it")
  func start() throws {
    let upper = try made([1, 2])
    #expect(upper.lowestBlock == 1 && upper.frozenDepth == 1)
    let batch = try LoRABatch(fixture, upper)
    let runtime = try runtime()
    let start = try runtime.blockInput(1, of: batch.packed)
    #expect(try batch.losses(runtime, from: start) == batch.losses(runtime))
    let above = try runtime.blockInput(2, of: batch.packed)
    let error = #expect(throws: ReFTError.self) { try batch.losses(runtime, from: above) }
    #expect(error?.code == .usage)
  }

  @Test("dropout is part of the gradient, and names its numbers by step and sequence")
  func dropout() throws {
    let adapter = try made([0, 1, 2], dropout: 0.3)
    let batch = try LoRABatch(fixture, adapter)
    let runtime = try runtime()
    let (loss, gradients) = try batch.gradients(runtime, of: adapter, dropout: true)
    #expect(try batch.gradients(runtime, of: adapter, dropout: true).loss == loss)
    #expect(try batch.gradients(runtime, of: adapter).loss != loss)
    #expect(try EditSession(batch.edits).sharedPrefixLimit == Int.max)
    // Along the gradient itself, the slope is its square.
    let squares = gradients.values.reduce(0.0) { $0 + Double($1) * Double($1) }
    let step = 0.002 / squares.squareRoot()
    func moved(_ factor: Double) throws -> Double {
      for (index, value) in gradients.values.enumerated() {
        adapter.parameters.values.base[index] += Float(factor) * value
      }
      return try batch.gradients(runtime, of: adapter, dropout: true).loss
    }
    let up = try moved(step)
    let down = try moved(-2 * step)
    #expect(abs((up - down) / (2 * step) / squares - 1) < 1e-2)
  }

  @Test("text that is read in pieces and token by token has the logits of one pass")
  func pieces() throws {
    let runtime = ModelRuntime(model: model.frozen, precision: .float32)
    let ids = rows.ids[0]
    func logits(_ cuts: [Int]) throws -> [Float] {
      let cache = try runtime.makeCache(capacity: ids.count)
      var result: [Float] = []
      for (start, end) in zip([0] + cuts, cuts + [ids.count]) {
        let edit = SequenceEdit(
          adapter: adapter,
          start: 0,
          count: end - start,
          promptLength: 12,
          position: start
        )
        let session = try EditSession([edit])
        result = Array(try runtime.step([(cache, Array(ids[start..<end]))], editor: session))
      }
      return result
    }
    let whole = try logits([])
    expectClose(try logits([5, 12, 13, 14, 15]), whole, tolerance: 1e-4, "pieces")
  }
}
