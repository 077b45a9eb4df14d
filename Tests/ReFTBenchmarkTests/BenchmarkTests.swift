// SPDX-License-Identifier: Apache-2.0
// What the benchmarks count and compare, on a tiny model.

import Foundation
import ReFTBenchmark
import ReFTHost
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Benchmarks")
struct BenchmarkTests {
  private func withModel(_ body: (LoadedModel) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      try body(try LoadedModel(path: TinyModel().write(in: folder)))
    }
  }

  @Test("the arithmetic of a pass is that of its matrices, counted by hand")
  func arithmetic() throws {
    try withModel { model in
      let count = ModelArithmetic(model.configuration)
      // Queries and output 64 × 64, keys and values 64 × 32, gate, up and down 64 × 160.
      #expect(count.blockWeights == 2 * 4096 + 2 * 2048 + 3 * 10_240)
      #expect(count.headWeights == TinyModel.vocabularySize * 64)
      // Three tokens see 1, 2 and 3 keys; each pair costs 2 · 64 for the score and as much for the value.
      #expect(count.attention(tokens: 3) == 4 * 64 * 6)
      #expect(count.attention(tokens: 1, past: 9) == 4 * 64 * 10)
      let weights = Double(2 * count.blockWeights + count.headWeights)
      #expect(count.decode(past: 9) == 2 * weights + 2 * 4 * 64 * 10)
    }
  }

  @Test("works that are compared take turns, every other round the other way around")
  func turns() throws {
    var order: [Int] = []
    let medians = try InferenceBenchmark.medians(count: 2, runs: 2) { order.append($0) }
    #expect(order == [0, 1, 1, 0, 0, 1])
    #expect(medians.count == 2 && medians.allSatisfy { $0 >= 0 })
  }

  @Test("the edit that is compiled in computes what the plugin computes")
  func inline() throws {
    try withModel { model in
      let spec = InterventionSpec(
        plugin: "loreft",
        layers: [1],
        positions: try PositionRule("f2"),
        options: ["rank": .int(3)]
      )
      let adapter = try Adapter.create(
        specs: [spec],
        model: model,
        catalog: BuiltPlugins.catalog(),
        seed: 1
      )
      let store = adapter.parameters
      let inline = InlineLoReFT(
        model: model.frozen,
        blocks: [1],
        rank: 3,
        tokens: [0, 1],
        isTraining: false
      )
      let values = try ["rotate.weight", "source.weight", "source.bias"].flatMap { name in
        let index = try #require(store.index(of: "interventions.0.layers.1.\(name)"))
        return Array(store.tensor(index))
      }
      inline.setParameters(values, block: 1)
      var batch = PackedBatch()
      batch.append(ids: [5, 9, 3, 7], labels: [-100, -100, 3, 7])
      let session = try EditSession([
        SequenceEdit(adapter: adapter, start: 0, count: 4, promptLength: 4)
      ])
      let runtime = ModelRuntime(model: model.frozen)
      let plain = try runtime.loss(batch, editor: nil)
      let through = try runtime.loss(batch, editor: session)
      expectClose(try runtime.loss(batch, editor: inline), through, tolerance: 1e-5)
      #expect(through != plain)
    }
  }

  /// The tiny Gemma 3, whose window is 8, with room for more tokens than a cache can take back.
  private func withWindowedModel(_ body: (FrozenModel) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      let source = Fixture.path("tiny/gemma3")
      for name in try FileManager.default.contentsOfDirectory(atPath: source) {
        try FileManager.default.copyItem(atPath: "\(source)/\(name)", toPath: "\(folder)/\(name)")
      }
      let path = folder + "/config.json"
      let text = try String(contentsOfFile: path, encoding: .utf8)
      let wide = text.replacing(
        "\"max_position_embeddings\": 128",
        with: "\"max_position_embeddings\": 2048"
      )
      try #require(wide != text)
      try wide.write(toFile: path, atomically: true, encoding: .utf8)
      try body(FrozenModel(path: folder))
    }
  }

  @Test("more decoded tokens than a cache with windows takes back are measured all the same")
  func windowed() throws {
    try withWindowedModel { model in
      let benchmark = try InferenceBenchmark(model: model)
      let tokens = 2 * CachePages.tokenCount + 9
      let result = try benchmark.decode(after: 20, tokens: tokens, sequences: 2, runs: 1)
      #expect(result.tokens == 2 * tokens && result.tokensPerSecond > 0)
      let seconds = try benchmark.compareDecoding(
        after: 20,
        tokens: tokens,
        runs: 1,
        editors: [{ _ in NoEdits() }]
      )
      #expect(seconds.count == 1 && seconds[0] > 0)
    }
  }

  private final class NoEdits: HiddenStateEditor {
    let sites: Set<Site> = []
    let needsAllRows = false
    let sharedPrefixLimit = Int.max

    func edits(at site: Site) -> [any RowEdit] { [] }
  }

  @Test("numbers of threads are powers of two and all processors")
  func threadCounts() {
    #expect(ScalingBenchmark.threadCounts(processors: 1) == [1])
    #expect(ScalingBenchmark.threadCounts(processors: 2) == [1, 2])
    #expect(ScalingBenchmark.threadCounts(processors: 12) == [1, 2, 4, 8, 12])
    #expect(ScalingBenchmark.threadCounts(processors: 16) == [1, 2, 4, 8, 16])
  }

  @Test("all works are measured with a number of threads")
  func scaling() throws {
    try withModel { model in
      var options = ScalingBenchmark.Options()
      (options.promptTokens, options.tokens, options.sequences, options.runs) = (30, 4, 2, 1)
      (options.training.sequences, options.training.tokens) = (2, 12)
      let benchmark = ScalingBenchmark(model: model, catalog: try BuiltPlugins.catalog())
      for threads in [1, 3] {
        let row = try benchmark.run(threads: threads, options)
        #expect(row.threads == threads)
        let rates = [
          row.training.tokensPerSecond, row.prefill.tokensPerSecond, row.decode.tokensPerSecond,
          row.batchTokensPerSecond, row.peaks.flops, row.peaks.bytesPerSecond,
        ]
        #expect(rates.allSatisfy { $0.isFinite && $0 > 0 }, "\(rates)")
      }
    }
  }

  @Test("a text of one token is refused where precisions are compared")
  func shortText() throws {
    try withModel { model in
      let error = #expect(throws: ReFTError.self) {
        try PrecisionBenchmark(model: model.frozen).run([4])
      }
      #expect(error?.message.contains("at least 2 are needed") == true)
    }
  }
}
