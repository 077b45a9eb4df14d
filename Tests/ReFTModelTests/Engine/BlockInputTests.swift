// SPDX-License-Identifier: Apache-2.0
// Passes that start from a kept residual stream, and batches that no pass takes.

import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Starts of a pass")
struct BlockInputTests {
  private static let prefix = EngineFixture.tokens(10, seed: 1)
  private static let sequences = [6, 60, 3].map { count in
    prefix + EngineFixture.tokens(count, seed: UInt64(count))
  }

  @Test(
    "a pass from any block's input has the bits of a whole pass",
    arguments: 0..<3,
    [0, Int.max]
  )
  func start(block: Int, sharedPrefixLimit: Int) throws {
    let model = try EngineFixture.model(EngineFixture.threeBlocks)
    let batch = EngineFixture.batch(Self.sequences, labelled: 11)
    let sites = (block..<3).flatMap { block in
      EngineFixture.order.map { Site(block: block, component: $0) }
    }
    // Alone, the last component of a block takes another way: nothing below it is kept. Then a pass
    // may start behind it, too.
    let output = Site(block: block, component: .blockOutput)
    let above = sites.filter { $0.block > block }
    for (sites, first) in [
      (sites, block), ([output], block), ([output] + above, min(block + 1, 2)),
    ] {
      let training = ModelRuntime(model: model)
      let start = try training.blockInput(first, of: batch)
      var found: [(losses: [Float], gradients: [Site: [Float]])] = []
      for start in [nil, start] {
        let editor = AffineEditor(
          vectors: EngineFixture.vectors(sites, of: model, scale: 0.1, seed: 3),
          weights: EngineFixture.weights(batch, positions: [0, 4, 9, 11, 30])
        )
        editor.sharedPrefixLimit = sharedPrefixLimit
        let losses = try training.lossAndGradient(batch, editor: editor, scale: 1, from: start)
        expectIdentical(try training.loss(batch, editor: editor, from: start), losses)
        found.append((losses, editor.gradients))
      }
      expectIdentical(found[1].losses, found[0].losses)
      for (site, expected) in found[0].gradients {
        #expect(expected.contains { $0 != 0 }, "\(site)")
        expectIdentical(found[1].gradients[site] ?? [], expected, "\(site)")
      }
    }
  }

  @Test("a start that does not fit the batch or the edits is an error")
  func wrongStart() throws {
    let model = try EngineFixture.model(EngineFixture.threeBlocks)
    let training = ModelRuntime(model: model)
    let batch = EngineFixture.batch(Self.sequences, labelled: 11)
    let other = EngineFixture.batch([Self.sequences[0]], labelled: 11)
    let editor = VisitRecorder(
      [Site(block: 0, component: .blockOutput)],
      tokenCount: batch.tokens.count,
      needsAllRows: false
    )
    let start = try training.blockInput(2, of: batch)
    for call in [
      { try training.loss(other, editor: nil, from: start) },
      { try training.loss(batch, editor: editor, from: start) },
      {
        try training.loss(
          batch,
          editor: nil,
          from: BlockInput(block: 3, rows: start.rows)
        )
      },
      {
        _ = try training.blockInput(3, of: batch)
        return []
      },
    ] as [() throws -> [Float]] {
      let error = #expect(throws: ReFTError.self) { try call() }
      #expect(error?.code == .usage)
    }
    #expect(editor.edits.isEmpty)
  }

  @Test("an edit at a block that the model does not have is an error")
  func wrongSite() throws {
    let model = try EngineFixture.model()
    let batch = EngineFixture.batch(Self.sequences, labelled: 11)
    let editor = VisitRecorder(
      [Site(block: 2, component: .blockOutput)],
      tokenCount: batch.tokens.count,
      needsAllRows: false
    )
    let error = #expect(throws: ReFTError.self) {
      try ModelRuntime(model: model).lossAndGradient(batch, editor: editor, scale: 1)
    }
    #expect(error?.code == .usage)
    let cache = try KVCache(model: model, capacity: 4)
    let second = #expect(throws: ReFTError.self) {
      try ModelRuntime(model: model).step([(cache, [1])], editor: editor)
    }
    #expect(second?.code == .usage)
  }

  struct WrongBatch: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var ids: [Int32]
    var labels: [Int32]
    var message: String
  }

  private static let wrongBatches = [
    WrongBatch(testDescription: "empty", ids: [], labels: [], message: "no tokens"),
    WrongBatch(
      testDescription: "negative token",
      ids: [1, -5, 2],
      labels: [-100, 1, 2],
      message: "-5"
    ),
    WrongBatch(
      testDescription: "token behind the vocabulary",
      ids: [1, Int32(TinyModel.vocabularySize)],
      labels: [-100, 1],
      message: "\(TinyModel.vocabularySize)"
    ),
    WrongBatch(
      testDescription: "label behind the vocabulary",
      ids: [1, 2],
      labels: [-100, .max],
      message: "\(Int32.max)"
    ),
    WrongBatch(
      testDescription: "longer than the context",
      ids: [Int32](repeating: 1, count: 513),
      labels: [Int32](repeating: 1, count: 513),
      message: "513"
    ),
  ]

  @Test("a batch that the model cannot read is an error", arguments: wrongBatches)
  func wrongBatch(item: WrongBatch) throws {
    let training = ModelRuntime(model: try EngineFixture.model())
    var batch = EngineFixture.batch(Self.sequences, labelled: 11)
    let losses = try training.loss(batch, editor: nil)
    var wrong = batch
    wrong.append(ids: item.ids, labels: item.labels)
    for call in [
      { try training.loss(wrong, editor: nil) },
      {
        _ = try training.blockInput(1, of: wrong)
        return []
      },
    ] as [() throws -> [Float]] {
      let error = #expect(throws: ReFTError.self) { try call() }
      #expect(error?.code == .badData)
      #expect(error?.message.contains(item.message) == true, "\(error?.message ?? "")")
    }
    expectIdentical(try training.loss(batch, editor: nil), losses)
    batch.labels = []
    batch.labelTokens = []
    #expect(try training.loss(batch, editor: nil).isEmpty)
  }
}
