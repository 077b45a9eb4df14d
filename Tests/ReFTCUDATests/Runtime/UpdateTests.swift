// SPDX-License-Identifier: Apache-2.0
// Low-rank updates on the card against the processor's: losses, gradients, dropout, shared beginnings, and
// tokens that are decoded.

import ReFTCUDA
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

/// Updates of all products of some blocks, with matrices and gradients of its own.
private final class UpdateEditor: ProductEditor {
  let sites: Set<Site> = []
  let needsAllRows = false
  let sharedPrefixLimit: Int
  let updates: LowRankUpdates?
  /// The matrices A and B of each update, and their gradients.
  private let memory: [FloatBuffer]
  let gradients: [FloatBuffer]

  func edits(at site: Site) -> [any RowEdit] { [] }

  init(
    _ model: FrozenModel,
    blocks: [Int],
    runs: [UpdatedTokens.Run],
    dropout: Float? = nil,
    trains: Bool = true
  ) {
    sharedPrefixLimit = dropout == nil ? .max : 0
    let (shape, tokens) = (model.configuration, UpdatedTokens(runs))
    var list: [LowRankUpdate] = []
    var (memory, gradients): ([FloatBuffer], [FloatBuffer]) = ([], [])
    for block in blocks {
      for (index, projection) in shape.projections.enumerated()
      where ![.queryKeyValue, .gateUp].contains(projection) {
        let widths = (shape.inputWidth(of: projection), shape.outputWidth(of: projection))
        let rank = 2 + index % 2
        let buffers = [rank * widths.0, rank * widths.1].enumerated().map { place, count in
          let buffer = FloatBuffer(count: count)
          let random = CounterRandom(key: UInt64(block), step: UInt64(2 * index + place))
          random.fillNormal(buffer.values)
          for number in buffer.values.indices { buffer.base[number] *= 0.15 }
          return buffer
        }
        let slopes = buffers.map { FloatBuffer(count: $0.count) }
        memory += buffers
        gradients += slopes
        list.append(
          LowRankUpdate(
            block: block,
            projection: projection,
            tokens: tokens,
            rank: rank,
            widths: widths,
            scale: 1.5,
            a: buffers[0].base,
            b: buffers[1].base,
            rowOrder: shape.rowOrder(of: projection),
            gradients: trains
              ? LowRankUpdate.Gradients(a: slopes[0].base, b: slopes[1].base) : nil,
            dropout: dropout.map { LowRankUpdate.Dropout(rate: $0, key: .max - UInt64(index)) }
          )
        )
      }
    }
    (self.memory, self.gradients) = (memory, gradients)
    updates = LowRankUpdates(list)
  }
}

@Suite("Low-rank updates on a card")
struct UpdateTests {
  private func runs(_ batch: PackedBatch, leavingOut skipped: Int = -1) -> [UpdatedTokens.Run] {
    batch.segments.enumerated().filter { $0.offset != skipped }.map { index, segment in
      let tokens = segment.start..<segment.start + segment.count
      return UpdatedTokens.Run(tokens: tokens, position: 0, example: Int32(index))
    }
  }

  private func compare(
    _ name: String,
    _ batch: PackedBatch? = nil,
    dropout: Float? = nil,
    leavingOut skipped: Int = -1
  ) throws {
    let fixture = try FamilyFixture(name)
    let model = try FrozenModel(path: fixture.folder)
    let batch = batch ?? fixture.batch
    let card = try CUDARuntime(model: model, device: EmulatedCard.open(), isExact: true)
    let processor = ModelRuntime(model: model, precision: .float32)
    let results = try [card as any DeviceRuntime, processor].map { runtime in
      let editor = UpdateEditor(
        model,
        blocks: [1, 2],
        runs: runs(batch, leavingOut: skipped),
        dropout: dropout
      )
      let scale = 1 / Float(batch.labels.count)
      let losses = try runtime.lossAndGradient(batch, editor: editor, scale: scale, from: nil)
      return (losses, editor.gradients.map { Array($0.values) })
    }
    expectClose(results[0].0, results[1].0, tolerance: 1e-4, name)
    for (index, (own, reference)) in zip(results[0].1, results[1].1).enumerated() {
      #expect(reference.contains { $0 != 0 })
      expectCloseNorm(own, reference, relative: 1e-3, "\(name) \(index)")
    }
  }

  @Test(
    "have the processor's losses and gradients",
    arguments: ["llama", "gemma2", "olmo2", "phi3", "gpt2", "gpt-neox"]
  )
  func families(name: String) throws { try compare(name) }

  @Test("leave out the same numbers, and sequences that nobody updates")
  func dropout() throws {
    try compare("llama", dropout: 0.25)
    try compare("llama", leavingOut: 0)
  }

  @Test("are derived from a loss of which each label has its own share")
  func slopes() throws {
    let fixture = try FamilyFixture("llama")
    let model = try FrozenModel(path: fixture.folder)
    let batch = fixture.batch
    let card = try CUDARuntime(model: model, device: EmulatedCard.open(), isExact: true)
    let processor = ModelRuntime(model: model, precision: .float32)
    let results = try [card as any DeviceRuntime, processor].map { runtime in
      let editor = UpdateEditor(model, blocks: [1], runs: runs(batch))
      _ = try runtime.lossAndGradient(batch, editor: editor, from: nil) { losses in
        losses.enumerated().map { $0.offset % 3 == 0 ? -0.2 : 0.05 * $0.element }
      }
      return editor.gradients.map { Array($0.values) }
    }
    for (own, reference) in zip(results[0], results[1]) {
      expectCloseNorm(own, reference, relative: 1e-3)
    }
  }

  @Test("share the rows of equal beginnings")
  func shared() throws {
    let ids = try FamilyFixture("llama").ids[0]
    var batch = PackedBatch()
    for last in [ids[10...], ids[12...]] {
      let own = ids[..<10] + last
      batch.append(ids: Array(own), labels: own.indices.map { $0 < 11 ? -100 : own[$0] })
    }
    try compare("llama", batch)
  }

  @Test("are those of the same session from prompt to decoded tokens")
  func decoding() throws {
    let fixture = try FamilyFixture("llama")
    let model = try FrozenModel(path: fixture.folder)
    let card = try CUDARuntime(model: model, device: EmulatedCard.open(), isExact: true)
    let processor = ModelRuntime(model: model, precision: .float32)
    let ids = fixture.ids[0]
    let logits = try [card as any DeviceRuntime, processor].map { runtime in
      let cache = try runtime.makeSequenceCache(capacity: ids.count)
      var result: [Float] = []
      for range in [0..<9, 9..<10, 10..<11] {
        let run = UpdatedTokens.Run(
          tokens: 0..<range.count,
          position: range.lowerBound,
          example: 0
        )
        let editor = UpdateEditor(model, blocks: [0, 2], runs: [run], trains: false)
        let step = SequenceStep(cache: cache, tokens: Array(ids[range]))
        result = Array(try runtime.step(sequences: [step], editor: editor))
      }
      return result
    }
    expectClose(logits[0], logits[1], tolerance: 2e-4)
  }
}
