// SPDX-License-Identifier: Apache-2.0
// Generation with a cache: every way to feed the same tokens ends in the same place.

import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Cache of keys and values")
struct CacheTests {
  private static let ids = EngineFixture.tokens(300, seed: 1)

  /// Feeds `ids` in chunks; returns the logits after the last one.
  private func feed(
    _ ids: [Int32],
    chunk: Int,
    into cache: KVCache,
    _ inference: ModelRuntime,
    editor: (any HiddenStateEditor)? = nil
  ) throws -> [Float] {
    var last: [Float] = []
    for start in stride(from: 0, to: ids.count, by: chunk) {
      let tokens = Array(ids[start..<min(ids.count, start + chunk)])
      last = Array(try inference.step([(cache, tokens)], editor: editor))
    }
    return last
  }

  @Test(
    "a prompt at once, in chunks and token by token gives the same logits",
    // Products of numbers that are split in two lose 2^-15.
    arguments: [(TinyModel(), 3e-5), (EngineFixture.odd, 3e-5), (EngineFixture.tiles, 3e-4)]
      as [(TinyModel, Float)]
  )
  func chunks(shape: TinyModel, tolerance: Float) throws {
    let (model, plain) = try withTemporaryDirectory { folder in
      let path = try shape.write(in: folder)
      return (try FrozenModel(path: path), try DoubleModel(path: path))
    }
    let inference = ModelRuntime(model: model)
    let logits = plain.run(Self.ids).logits
    for chunk in [300, 128, 49, 7, 1] {
      let cache = try KVCache(model: model, capacity: 300)
      let found = try feed(Self.ids, chunk: chunk, into: cache, inference)
      #expect(cache.count == 300)
      expectClose(
        found,
        (logits.last ?? []).map { Float($0) },
        tolerance: tolerance,
        "chunks of \(chunk)"
      )
    }
  }

  @Test(
    "a cache that rounds changes the logits, and they stay near",
    arguments: [300, 49, 1],
    [(CacheFormat.float16, Float(2e-3)), (.int8, 6e-2)]
  )
  func rounded(chunk: Int, rounding: (format: CacheFormat, tolerance: Float)) throws {
    let model = try EngineFixture.model(EngineFixture.odd)
    let precision = DecodePrecision(.int16, cache: rounding.format)
    let inference = ModelRuntime(model: model, precision: precision)
    let exact = try KVCache(model: model, capacity: 300)
    let expected = try feed(Self.ids, chunk: chunk, into: exact, inference)
    let cache = try inference.makeCache(capacity: 300)
    #expect(cache.format == rounding.format)
    let found = try feed(Self.ids, chunk: chunk, into: cache, inference)
    expectClose(found, expected, tolerance: rounding.tolerance, "chunks of \(chunk)")
    #expect(found != expected, "nothing was rounded")
  }

  @Test(
    "what was truncated and is generated again has the same bits",
    arguments: CacheFormat.allCases
  )
  func truncate(format: CacheFormat) throws {
    let model = try EngineFixture.model()
    let inference = ModelRuntime(model: model)
    let cache = try KVCache(model: model, capacity: 60, format: format)
    _ = try feed(Array(Self.ids[..<40]), chunk: 40, into: cache, inference)
    let first = try feed(Array(Self.ids[40..<50]), chunk: 1, into: cache, inference)
    _ = try feed(Array(Self.ids[100..<110]), chunk: 1, into: cache, inference)
    try cache.truncate(to: 40)
    #expect(cache.count == 40)
    let again = try feed(Array(Self.ids[40..<50]), chunk: 1, into: cache, inference)
    expectIdentical(again, first)
    try cache.truncate(to: 70)
    #expect(cache.count == 50)
    try cache.truncate(to: -3)
    #expect(cache.count == 0)
  }

  @Test("edits of a prompt reach the cache, and edits of decoded tokens the logits")
  func edits() throws {
    let model = try EngineFixture.model(EngineFixture.threeBlocks)
    let prompt = Array(Self.ids[..<20])
    var batch = PackedBatch()
    batch.append(ids: prompt + [9, 8], labels: [Int32](repeating: -100, count: 20) + [9, 8])
    let sites = EngineFixture.allSites(model)
    let vectors = EngineFixture.vectors(sites, of: model, scale: 0.2, seed: 4)
    func editor(_ tokens: [Int]) -> AffineEditor {
      AffineEditor(vectors: vectors, weights: tokens.map { ($0, 1) })
    }
    let losses = try ModelRuntime(model: model).loss(batch, editor: editor([3, 19, 20]))
    let inference = ModelRuntime(model: model)
    let cache = try KVCache(model: model, capacity: 22)
    func loss(_ logits: UnsafeMutableBufferPointer<Float>, _ label: Int32) -> Float {
      Float(DoubleModel.loss(logits.map { Double($0) }, label: label))
    }
    var found = [loss(try inference.step([(cache, prompt)], editor: editor([3, 19])), 9)]
    found.append(loss(try inference.step([(cache, [9])], editor: editor([0])), 8))
    expectClose(found, losses, tolerance: 3e-5)
    let plain = try ModelRuntime(model: model).loss(batch, editor: nil)
    #expect(abs(plain[0] - losses[0]) > 1e-2, "the edits change nothing")
  }

  struct WrongStep: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var tokens: [Int32]
    var message: String
  }

  private static let wrongSteps = [
    WrongStep(testDescription: "no tokens", tokens: [], message: "has no tokens"),
    WrongStep(testDescription: "a negative token", tokens: [5, -1], message: "id -1"),
    WrongStep(
      testDescription: "a token behind the vocabulary",
      tokens: [Int32(TinyModel.vocabularySize)],
      message: "id \(TinyModel.vocabularySize)"
    ),
    WrongStep(testDescription: "the largest token", tokens: [.max], message: "id \(Int32.max)"),
    WrongStep(
      testDescription: "more than the cache holds",
      tokens: ids.suffix(30),
      message: "50 tokens"
    ),
  ]

  @Test("a wrong step is an error and leaves all caches as they were", arguments: wrongSteps)
  func wrong(step: WrongStep) throws {
    let model = try EngineFixture.model()
    let inference = ModelRuntime(model: model)
    let cache = try KVCache(model: model, capacity: 40)
    let other = try KVCache(model: model, capacity: 40)
    let untouched = try KVCache(model: model, capacity: 40)
    for cache in [cache, other, untouched] {
      _ = try inference.step([(cache, Array(Self.ids[..<20]))], editor: nil)
    }
    let error = #expect(throws: ReFTError.self) {
      try inference.step([(other, [3]), (cache, step.tokens)], editor: nil)
    }
    #expect(error?.code == .badData)
    #expect(error?.message.contains(step.message) == true, "\(error?.message ?? "")")
    #expect(cache.count == 20 && other.count == 20)
    let expected = Array(try inference.step([(untouched, [7])], editor: nil))
    for cache in [cache, other] {
      expectIdentical(Array(try inference.step([(cache, [7])], editor: nil)), expected)
    }
  }

  @Test("a sequence beyond the model's context is an error, however large the cache")
  func contextLength() throws {
    var shape = TinyModel()
    shape.contextLength = 24
    let model = try EngineFixture.model(shape)
    let inference = ModelRuntime(model: model)
    let cache = try KVCache(model: model, capacity: 100)
    _ = try inference.step([(cache, Array(Self.ids[..<24]))], editor: nil)
    let error = #expect(throws: ReFTError.self) {
      try inference.step([(cache, [1])], editor: nil)
    }
    #expect(error?.code == .badData)
    #expect(cache.count == 24)
  }

  @Test("one cache twice in a step is an error")
  func twice() throws {
    let model = try EngineFixture.model()
    let cache = try KVCache(model: model, capacity: 20)
    let error = #expect(throws: ReFTError.self) {
      try ModelRuntime(model: model).step([(cache, [1]), (cache, [2])], editor: nil)
    }
    #expect(error?.code == .usage)
    #expect(cache.count == 0)
  }

  private final class FailingEditor: HiddenStateEditor {
    let sites: Set<Site> = [Site(block: 1, component: .attentionOutput)]
    let needsAllRows = false
    let sharedPrefixLimit = 0
    let token: Int32
    var isFailing = true

    init(token: Int32) { self.token = token }

    func edits(at site: Site) -> [any RowEdit] { [Edit(token, isFailing: isFailing)] }

    private final class Edit: RowEdit {
      let tokens: [Int32]
      let isFailing: Bool

      init(_ token: Int32, isFailing: Bool) { (tokens, self.isFailing) = ([token], isFailing) }

      func edit(_ rows: GatheredRows) throws {
        if isFailing { throw ReFTError(.misbehaved, "the edit failed") }
      }

      func differentiate(_ gradient: GatheredRows) throws {
        throw ReFTError(.misbehaved, "the gradient failed")
      }
    }
  }

  @Test("an editor's error ends the pass, leaves the cache as it was and the pass usable")
  func failingEditor() throws {
    let model = try EngineFixture.model()
    let inference = ModelRuntime(model: model)
    let cache = try KVCache(model: model, capacity: 40)
    let other = try KVCache(model: model, capacity: 40)
    for cache in [cache, other] {
      _ = try inference.step([(cache, Array(Self.ids[..<20]))], editor: nil)
    }
    let editor = FailingEditor(token: 2)
    let error = #expect(throws: ReFTError.self) {
      try inference.step([(cache, [1, 2, 3])], editor: editor)
    }
    #expect(error?.code == .misbehaved)
    #expect(cache.count == 20)
    let expected = Array(try inference.step([(other, [7])], editor: nil))
    expectIdentical(Array(try inference.step([(cache, [7])], editor: nil)), expected)

    let batch = EngineFixture.batch([Array(Self.ids[..<20])], labelled: 5)
    let training = ModelRuntime(model: model)
    let losses = try training.loss(batch, editor: nil)
    // The gradient alone fails; its token is one whose row the end of the last block computes.
    let second = FailingEditor(token: 10)
    second.isFailing = false
    #expect(throws: ReFTError.self) {
      try training.lossAndGradient(batch, editor: second, scale: 1)
    }
    expectIdentical(try training.loss(batch, editor: nil), losses)
  }
}
