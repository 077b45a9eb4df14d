// SPDX-License-Identifier: Apache-2.0
// Where and when the engine hands out hidden states, and that they are the right numbers.

import Foundation
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Sites of a pass")
struct SiteTests {
  /// Which rows a pass may leave out.
  enum Rows: String, CaseIterable, Sendable {
    case all, tail, sharedPrefix
  }

  private static let prefix = EngineFixture.tokens(9, seed: 1)
  private static let sequences = [(5, 2), (1, 3), (8, 4)].map { count, seed in
    prefix + EngineFixture.tokens(count, seed: UInt64(seed))
  }

  @Test(
    "each site fires once, in the order of computation, and in reverse on the way back",
    arguments: Rows.allCases
  )
  func order(rows: Rows) throws {
    let model = try EngineFixture.model(EngineFixture.threeBlocks)
    let batch = EngineFixture.batch(Self.sequences, labelled: 10)
    let sites = EngineFixture.allSites(model)
    let recorder = VisitRecorder(
      Set(sites),
      tokenCount: batch.tokens.count,
      needsAllRows: rows == .all,
      sharedPrefixLimit: rows == .sharedPrefix ? .max : 0
    )
    let training = ModelRuntime(model: model)
    _ = try training.lossAndGradient(batch, editor: recorder, scale: 1)
    #expect(recorder.edits.map(\.site) == sites)
    #expect(recorder.gradients.map(\.site) == sites.reversed())
    for visit in recorder.edits + recorder.gradients {
      #expect(visit.width == model.width(of: visit.site.component))
      let present = Set(visit.rows.indices.filter { visit.rows[$0] != nil })
      #expect(present == Self.expected(visit.site, rows, batch), "\(visit.site)")
    }
  }

  /// The tokens whose rows a pass computes at a site.
  private static func expected(_ site: Site, _ rows: Rows, _ batch: PackedBatch) -> Set<Int> {
    let labels = Set(batch.labelTokens.map { Int($0) })
    let isBehindAttention: Bool =
      switch site.component {
      case .blockInput, .attentionInput, .queryOutput, .keyOutput, .valueOutput: false
      default: true
      }
    if rows != .all, site.block == 2, isBehindAttention { return labels }
    var tokens = Set(batch.tokens.indices)
    if rows == .sharedPrefix {
      for segment in batch.segments.dropFirst() {
        tokens.subtract(segment.start..<segment.start + prefix.count)
      }
    }
    return tokens
  }

  @Test("a pass with few sites shows at them what a pass with all sites shows there")
  func onlyWanted() throws {
    let model = try EngineFixture.model(EngineFixture.threeBlocks)
    let batch = EngineFixture.batch(Self.sequences, labelled: 10)
    let sites = [Site(block: 1, component: .keyOutput), Site(block: 1, component: .mlpOutput)]
    func record(_ sites: [Site]) throws -> VisitRecorder {
      let recorder = VisitRecorder(
        Set(sites),
        tokenCount: batch.tokens.count,
        needsAllRows: false
      )
      _ = try ModelRuntime(model: model).lossAndGradient(batch, editor: recorder, scale: 1)
      return recorder
    }
    let (few, all) = (try record(sites), try record(EngineFixture.allSites(model)))
    #expect(few.edits.map(\.site) == sites && few.gradients.map(\.site) == sites.reversed())
    for (wanted, every) in [(few.edits, all.edits), (few.gradients, all.gradients)] {
      for visit in wanted {
        let other = try #require(every.first { $0.site == visit.site })
        #expect(visit.rows == other.rows, "\(visit.site)")
        #expect(visit.rows.contains { $0?.contains { $0 != 0 } == true }, "\(visit.site)")
      }
    }
  }

  @Test("a pass that starts above a block never reads that block's weights, on neither way")
  func noFurtherDown() throws {
    try withTemporaryDirectory { folder in
      let path = try EngineFixture.threeBlocks.write(in: folder)
      let sound = try FrozenModel(path: path)
      let spoiled = folder + "/spoiled.gguf"
      let file = try GGUFFile(path: path)
      var bytes = Array(file.file.bytes)
      let names = ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate"]
      for name in names {
        let data = try #require(file.tensor("blk.0.\(name).weight")).bytes
        let start = try #require(file.file.bytes.baseAddress)
          .distance(to: try #require(data.baseAddress))
        // Every float32 of it is then no number.
        for index in start..<start + data.count { bytes[index] = 0xFF }
      }
      try Data(bytes).write(to: URL(fileURLWithPath: spoiled))
      let batch = EngineFixture.batch(Self.sequences, labelled: 10)
      let input = try ModelRuntime(model: sound).blockInput(1, of: batch)
      let sites: Set = [
        Site(block: 1, component: .keyOutput), Site(block: 2, component: .mlpOutput),
      ]
      let runs = try [sound, try FrozenModel(path: spoiled)].map { model in
        let recorder = VisitRecorder(sites, tokenCount: batch.tokens.count, needsAllRows: false)
        let losses = try ModelRuntime(model: model).lossAndGradient(
          batch,
          editor: recorder,
          scale: 1,
          from: input
        )
        return (losses: losses, gradients: recorder.gradients.map(\.rows))
      }
      let isSound = runs[0].losses.allSatisfy { $0.isFinite }
      #expect(isSound)
      #expect(runs[0].losses == runs[1].losses && runs[0].gradients == runs[1].gradients)
    }
  }

  @Test(
    "rows and losses are those of a plain computation in double precision",
    arguments: [EngineFixture.threeBlocks, EngineFixture.odd]
  )
  func numbers(shape: TinyModel) throws {
    let (model, plain) = try withTemporaryDirectory { folder in
      let path = try shape.write(in: folder)
      return (try FrozenModel(path: path), try DoubleModel(path: path))
    }
    let batch = EngineFixture.batch(Self.sequences, labelled: 10)
    let recorder = VisitRecorder(
      Set(EngineFixture.allSites(model)),
      tokenCount: batch.tokens.count,
      needsAllRows: true
    )
    let losses = try ModelRuntime(model: model).loss(batch, editor: recorder)
    var expectedLosses: [Float] = []
    for (segment, ids) in zip(batch.segments, Self.sequences) {
      let (hidden, logits) = plain.run(ids)
      for visit in recorder.edits {
        let rows = visit.rows[segment.start..<segment.start + segment.count]
        let expected = (hidden[visit.site] ?? []).joined().map { Float($0) }
        expectClose(rows.flatMap { $0 ?? [] }, expected, tolerance: 2e-5, "\(visit.site)")
      }
      expectedLosses += (10..<ids.count).map {
        Float(DoubleModel.loss(logits[$0 - 1], label: ids[$0]))
      }
    }
    expectClose(losses, expectedLosses, tolerance: 2e-5)
  }
}
