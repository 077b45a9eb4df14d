// SPDX-License-Identifier: Apache-2.0
// Long prompts beside texts that are being written: nobody waits, and nothing changes.

import Foundation
import ReFTGeneration
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite("Prompts in pieces")
struct PromptPieceTests {
  private static func withModel<Result>(_ body: (LoadedModel) throws -> Result) throws -> Result {
    var shape = TinyModel()
    shape.contextLength = 2048
    return try withTemporaryDirectory { folder in
      try body(LoadedModel(path: shape.write(in: folder)))
    }
  }

  private static func ids(_ count: Int) -> [Int32] {
    (0..<count).map { Int32(5 + $0 * 31 % (TinyModel.vocabularySize - 5)) }
  }

  /// An adapter that pushes block 0 at the positions of a rule.
  private static func adapter(_ rule: String, _ model: LoadedModel) throws -> Adapter {
    let spec = InterventionSpec(
      plugin: "loreft",
      layers: [0],
      positions: try PositionRule(rule),
      options: ["rank": .int(4)]
    )
    let adapter = try Adapter.create(
      specs: [spec],
      model: model,
      catalog: BuiltPlugins.catalog(),
      seed: 1
    )
    let index = adapter.parameters.index(of: "interventions.0.layers.0.source.bias")
    let bias = adapter.parameters.tensor(try #require(index))
    for (index, value) in [300, -200, 400, 100].enumerated() { bias[index] = Float(value) }
    return adapter
  }

  @Test("are cut to the budget, in order, and never to a single token")
  func counts() {
    func counts(_ unread: [Int], budget: Int, whole: Set<Int> = []) -> [Int] {
      PromptPieces.counts(
        unread.enumerated().map { .init(unread: $1, isWhole: whole.contains($0)) },
        budget: budget
      )
    }
    #expect(counts([], budget: 576) == [])
    #expect(counts([100, 200], budget: 576) == [100, 200])
    #expect(counts([500, 200, 10], budget: 576) == [500, 76])
    #expect(counts([550, 200, 10], budget: 576) == [550])
    #expect(counts([576], budget: 576) == [576])
    #expect(counts([577], budget: 576) == [575])
    #expect(counts([1000], budget: 1) == [48])
    #expect(counts([1, 1, 1], budget: 576) == [1, 1, 1])
    #expect(counts([2000], budget: 576, whole: [0]) == [2000])
    #expect(counts([10, 2000, 10], budget: 576, whole: [1]) == [10])
    #expect(counts([10, 200, 10], budget: 576, whole: [1]) == [10, 200, 10])
  }

  @Test(
    "let their neighbours go on at every step, and all texts are those of each alone",
    arguments: [48, 576],
    [nil, "f7+l7", "f3+l2+decode", "all"]
  )
  func beside(budget: Int, rule: String?) throws {
    try Self.withModel { model in
      var long = GenerationRequest(.ids(Self.ids(1201)), maxTokens: 9, ignoresEnd: true)
      if let rule { long.adapter = try Self.adapter(rule, model) }
      let short = [11, 14].map { count in
        GenerationRequest(
          .ids(Self.ids(count)),
          maxTokens: count,
          sampling: SamplingOptions(temperature: 1, seed: UInt64(count)),
          ignoresEnd: true
        )
      }
      let alone = try (short + [long]).map { try TextGenerator(model: model).generate([$0])[0].ids }
      let batch = try GenerationBatch(model: model, size: 3, promptTokensPerStep: budget)
      for request in short { try batch.submit(request) }
      _ = batch.step()
      try batch.submit(long)
      var results: [Int: [Int32]] = [:]
      var finished: [Int: Int] = [:]
      var steps = 1
      while !batch.isIdle {
        steps += 1
        for event in batch.step() {
          if case .failed(let number, let error) = event { Issue.record("\(number): \(error)") }
          guard case .finished(let number, let result) = event else { continue }
          (results[number], finished[number]) = (result.ids, steps)
        }
      }
      // One token a step, from the first on, whatever is read beside.
      #expect(finished[0] == 11 && finished[1] == 14)
      #expect((0..<3).map { results[$0] } == alone)
      #expect(batch.pages?.heldCount == 0 && batch.pages?.freeCount == 0)
    }
  }

  @Test("change the long text where they are edited")
  func editsMatter() throws {
    try Self.withModel { model in
      var request = GenerationRequest(.ids(Self.ids(1201)), maxTokens: 9, ignoresEnd: true)
      let plain = try TextGenerator(model: model).generate([request])[0].ids
      request.adapter = try Self.adapter("l7", model)
      #expect(try TextGenerator(model: model).generate([request])[0].ids != plain)
    }
  }

  @Test("are read whole where a plugin looks at their rows together, in pieces where it does not")
  func mixing() throws {
    try withTemporaryDirectory { folder in
      try Self.withModel { model in
        for (promises, pieces) in [("0", 1), ("REFT_CAP_ROWWISE", 26)] {
          let place = "\(folder)/\(promises)"
          try FileManager.default.createDirectory(
            atPath: place,
            withIntermediateDirectories: true
          )
          _ = try CompiledPlugin.make(["MEAN": "1", "CAPS": promises], in: place)
          var long = GenerationRequest(.ids(Self.ids(1201)), maxTokens: 4, ignoresEnd: true)
          long.adapter = try Adapter.create(
            specs: [
              InterventionSpec(plugin: "plain", layers: [1], positions: try PositionRule("all"))
            ],
            model: model,
            catalog: CompiledPlugin.catalog(of: place),
            seed: 1
          )
          let alone = try TextGenerator(model: model).generate([long])[0].ids
          let batch = try GenerationBatch(model: model, size: 2, promptTokensPerStep: 48)
          try batch.submit(GenerationRequest(.ids(Self.ids(9)), maxTokens: 60, ignoresEnd: true))
          _ = batch.step()
          try batch.submit(long)
          var (steps, end) = (0, 0)
          var ids: [Int32]?
          while !batch.isIdle {
            steps += 1
            for case .finished(1, let result) in batch.step() { (ids, end) = (result.ids, steps) }
          }
          // The first token comes with the last piece.
          #expect(end == pieces + 3, "\(promises)")
          if promises == "0" { #expect(ids == alone) }
        }
      }
    }
  }

  @Test("a cancelled request gives its pages back, in the midst of its prompt too")
  func cancel() throws {
    try Self.withModel { model in
      let batch = try GenerationBatch(model: model, size: 2)
      try batch.submit(GenerationRequest(.ids(Self.ids(10)), maxTokens: 100, ignoresEnd: true))
      _ = batch.step()
      #expect(batch.pages?.heldCount == 1)
      try batch.submit(GenerationRequest(.ids(Self.ids(1500)), maxTokens: 10))
      _ = batch.step()
      #expect(batch.pages?.heldCount == 4)
      batch.cancel(1)
      #expect(batch.pages?.heldCount == 1 && !batch.isIdle)
      batch.cancel(0)
      #expect(batch.pages?.heldCount == 0 && batch.isIdle)
    }
  }
}
