// SPDX-License-Identifier: Apache-2.0
// One request that cannot go on among good ones: it fails alone, and the others get the tokens that
// they get without it.

import Foundation
import ReFTGeneration
import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import Testing
import _ReFTTestSupport

@Suite("A request that fails") struct FailingRequestTests {
  /// An adapter whose edits are infinite at the positions of a rule.
  private func broken(_ rule: String, _ model: LoadedModel) throws -> Adapter {
    let spec = InterventionSpec(
      plugin: "loreft",
      layers: [0],
      positions: try PositionRule(rule),
      options: ["rank": .int(2)]
    )
    let adapter = try Adapter.create(
      specs: [spec],
      model: model,
      catalog: BuiltPlugins.catalog(),
      seed: 1
    )
    let name = "interventions.0.layers.0.source.bias"
    let bias = adapter.parameters.tensor(try #require(adapter.parameters.index(of: name)))
    for index in bias.indices { bias[index] = .infinity }
    return adapter
  }

  private func good() -> [GenerationRequest] {
    ["the man", "a", "in the on the of", "re is an", "x y z"].enumerated().map { index, prompt in
      GenerationRequest(
        .text(prompt),
        maxTokens: 5 + index,
        sampling: SamplingOptions(temperature: 1, seed: UInt64(index)),
        ignoresEnd: true
      )
    }
  }

  @Test(
    "leaves its neighbours the tokens of a batch without it",
    arguments: ["l1", "all+decode", "none+decode"],
    [1, 3, 6]
  )
  func failsAlone(rule: String, size: Int) throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let alone = try good().map { try TextGenerator(model: model).generate([$0])[0] }
      var requests = good()
      var bad = requests[2]
      bad.adapter = try broken(rule, model)
      requests.insert(bad, at: 2)

      let batch = try GenerationBatch(model: model, size: size)
      for request in requests { try batch.submit(request) }
      var results: [Int: GenerationResult] = [:]
      var texts: [Int: String] = [:]
      var failures: [Int: ReFTError] = [:]
      while !batch.isIdle {
        for event in batch.step() {
          switch event {
          case .text(let number, let text): texts[number, default: ""] += text
          case .finished(let number, let result): results[number] = result
          case .failed(let number, let error):
            #expect(failures.updateValue(error, forKey: number) == nil)
          }
        }
      }
      #expect(failures.keys.sorted() == [2])
      #expect(failures[2]?.code == .misbehaved)
      for (index, number) in [0, 1, 3, 4, 5].enumerated() {
        #expect(results[number]?.ids == alone[index].ids, "request \(number)")
        #expect(texts[number] ?? "" == alone[index].text, "request \(number)")
      }
      // What the generator returns is the error, once the others are done.
      var finished: [Int] = []
      let error = #expect(throws: ReFTError.self) {
        try TextGenerator(model: model).generate(requests, batchSize: size) { event in
          if case .finished(let number, _) = event { finished.append(number) }
        }
      }
      #expect(error?.message.hasPrefix("request 2: ") == true)
      #expect(finished.sorted() == [0, 1, 3, 4, 5])
    }
  }

  /// The bytes of a page for the tokens of a short text.
  private func shortPageByteCount(_ model: LoadedModel) throws -> Int {
    let batch = try GenerationBatch(model: model)
    try batch.submit(good()[0])
    _ = batch.step()
    let pages = try #require(batch.pages)
    return withExtendedLifetime(batch) {
      #expect(pages.heldCount == 1)
      return pages.heldByteCount
    }
  }

  /// A text whose second page does not come: with its prompt, and in its midst.
  @Test(
    "since the system has no page for its keys leaves its neighbours their tokens",
    arguments: [(440, 0), (250, 6)]
  )
  func noPage(promptCount: Int, written: Int) throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      var requests = good()
      for index in requests.indices { requests[index].maxTokens = 20 }
      let alone = try requests.map { try TextGenerator(model: model).generate([$0])[0].ids }
      let ids = (0..<promptCount).map { Int32(5 + $0 * 31 % (TinyModel.vocabularySize - 5)) }
      requests.insert(GenerationRequest(.ids(ids), maxTokens: 20, ignoresEnd: true), at: 2)
      let batch = try GenerationBatch(model: model, size: 6)
      // The five short texts have a quarter of a page each, the long one a whole page and not a bit more.
      let limit = 9 * (try shortPageByteCount(model))
      let pages = try #require(batch.pages)
      pages.byteLimit = limit
      for request in requests { try batch.submit(request) }
      var results: [Int: [Int32]] = [:]
      var failure: (number: Int, step: Int, error: ReFTError)?
      var steps = 0
      while !batch.isIdle {
        steps += 1
        for event in batch.step() {
          if case .finished(let number, let result) = event { results[number] = result.ids }
          if case .failed(let number, let error) = event {
            #expect(failure == nil)
            failure = (number, steps, error)
          }
        }
        #expect(pages.heldByteCount <= limit)
      }
      #expect(failure?.number == 2 && failure?.step == 1 + (written > 0 ? written + 1 : 0))
      #expect(failure?.error.code == .inputOutput)
      let message = failure?.error.message ?? ""
      #expect(message.contains("keys and values of") && message.contains(KVCache.remedy))
      #expect([0, 1, 3, 4, 5].map { results[$0] } == alone)
      #expect(pages.heldCount == 0)
    }
  }

  @Test("that is refused on submission changes nothing of the batch")
  func refused() throws {
    try withTemporaryDirectory { folder in
      let model = try LoadedModel(path: TinyModel().write(in: folder))
      let alone = try good().map { try TextGenerator(model: model).generate([$0])[0].ids }
      let batch = try GenerationBatch(model: model, size: 3)
      for request in good().prefix(2) { try batch.submit(request) }
      _ = batch.step()
      let long = GenerationRequest(.ids([Int32](repeating: 5, count: 513)))
      let error = #expect(throws: ReFTError.self) { try batch.submit(long) }
      #expect(error?.code == .usage)
      for request in good().dropFirst(2) { try batch.submit(request) }
      var results: [Int: [Int32]] = [:]
      while !batch.isIdle {
        for case .finished(let number, let result) in batch.step() { results[number] = result.ids }
      }
      #expect((0..<5).map { results[$0] } == alone)
    }
  }
}
