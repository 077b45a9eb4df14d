// SPDX-License-Identifier: Apache-2.0
// Pages of keys and values: they follow the tokens, and nothing that is read depends on them.

import Foundation
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Pages of keys and values")
struct CachePageTests {
  private static let ids = EngineFixture.tokens(900, seed: 3)

  private static func long(
    _ shape: TinyModel = EngineFixture.threeBlocks,
    window: UInt32? = nil
  ) throws -> FrozenModel {
    var shape = shape
    shape.contextLength = 2048
    var file = shape.writer()
    if let window { file.set("llama.attention.sliding_window", .uint32(window)) }
    return try withTemporaryDirectory { folder in
      try file.write(to: folder + "/long.gguf")
      return try FrozenModel(path: folder + "/long.gguf")
    }
  }

  /// A model with or without windows, whose heads matrix tiles take or not.
  enum Shape: CaseIterable { case plain, tiles, windowed, windowedTiles }

  private static func model(_ shape: Shape) throws -> FrozenModel {
    switch shape {
    case .plain: try long()
    case .tiles: try long(EngineFixture.tiles)
    case .windowed: try windowed()
    case .windowedTiles: try long(EngineFixture.tiles, window: 75)
    }
  }

  /// The tiny Gemma 3, whose window is 8, with a context of several pages.
  private static func windowed() throws -> FrozenModel {
    try withTemporaryDirectory { folder in
      let source = try FamilyFixture("gemma3").folder
      for name in try FileManager.default.contentsOfDirectory(atPath: source) {
        try FileManager.default.copyItem(atPath: source + "/" + name, toPath: folder + "/" + name)
      }
      let path = folder + "/config.json"
      let text = try String(contentsOfFile: path, encoding: .utf8)
      let wide = text.replacing(
        "\"max_position_embeddings\": 128",
        with: "\"max_position_embeddings\": 2048"
      )
      try #require(wide != text)
      try wide.write(toFile: path, atomically: true, encoding: .utf8)
      return try FrozenModel(path: folder)
    }
  }

  @Test("come as tokens arrive, and go when these are truncated or the cache ends")
  func follow() throws {
    let runtime = ModelRuntime(model: try Self.long())
    let pages = runtime.cachePages
    var cache: KVCache? = try runtime.makeCache(capacity: 2000)
    #expect(pages.heldCount == 0)
    var held: [Int] = []
    for count in [10, 246, 1, 255, 1] {
      let start = try #require(cache).count
      let tokens = Array(Self.ids[start..<start + count])
      _ = try runtime.step([(try #require(cache), tokens)], editor: nil)
      held.append(pages.heldCount)
    }
    #expect(held == [1, 1, 2, 2, 3])
    #expect(cache?.pageCount == 3 && pages.heldByteCount > 0)
    try cache?.truncate(to: 256)
    #expect(pages.heldCount == 1 && pages.freeCount == 2)
    let other = try runtime.makeCache(capacity: 300)
    _ = try runtime.step([(other, [5])], editor: nil)
    #expect(pages.heldCount == 2 && pages.freeCount == 1)
    cache = nil
    #expect(pages.heldCount == 1 && pages.freeCount == 2)
    pages.releaseFree()
    #expect(pages.freeCount == 0)
  }

  @Test("the last one that a cache may have is no larger than its capacity asks for")
  func lastPage() throws {
    let runtime = ModelRuntime(model: try Self.long())
    let pages = runtime.cachePages
    func byteCount(capacity: Int) throws -> Int {
      let cache = try runtime.makeCache(capacity: capacity)
      _ = try runtime.step([(cache, Array(Self.ids[..<capacity]))], editor: nil)
      defer { pages.releaseFree() }
      return pages.heldByteCount
    }
    let panel = try byteCount(capacity: 1)
    // 64 tokens are a panel of the kernels.
    for (capacity, panels) in [(64, 1), (65, 2), (256, 4), (257, 5), (640, 10), (700, 11)] {
      #expect(try byteCount(capacity: capacity) == panels * panel, "\(capacity) tokens")
    }
  }

  @Test("go back when the step that took them fails")
  func failing() throws {
    let runtime = ModelRuntime(model: try Self.long())
    let cache = try runtime.makeCache(capacity: 2000)
    _ = try runtime.step([(cache, Array(Self.ids[..<100]))], editor: nil)
    let other = try runtime.makeCache(capacity: 20)
    let editor = RefusingEditor()
    #expect(throws: ReFTError.self) {
      try runtime.step([(cache, Array(Self.ids[100..<700])), (other, [1, 2])], editor: editor)
    }
    #expect(cache.count == 100 && cache.pageCount == 1 && other.pageCount == 0)
    #expect(runtime.cachePages.heldCount == 1)
  }

  private final class RefusingEditor: HiddenStateEditor {
    let sites: Set<Site> = [Site(block: 1, component: .blockOutput)]
    let needsAllRows = false
    let sharedPrefixLimit = 0

    func edits(at site: Site) -> [any RowEdit] { [Edit()] }

    private final class Edit: RowEdit {
      let tokens: [Int32] = [0]

      func edit(_ rows: GatheredRows) throws { throw ReFTError(.misbehaved, "no") }

      func differentiate(_ gradient: GatheredRows) throws { throw ReFTError(.misbehaved, "no") }
    }
  }

  @Test("that held other numbers, even none that are finite, change no bit")
  func recycled() throws {
    let model = try Self.long()
    let runtime = ModelRuntime(model: model)
    func logits(_ count: Int) throws -> [Float] {
      let cache = try runtime.makeCache(capacity: 800)
      _ = try runtime.step([(cache, Array(Self.ids[..<count]))], editor: nil)
      return Array(try runtime.step([(cache, [7])], editor: nil))
    }
    let expected = try [1, 70, 300].map(logits)
    // A smaller last page has other places and the same bits.
    for (count, before) in zip([1, 70, 300], expected) {
      let cache = try runtime.makeCache(capacity: count + 1)
      _ = try runtime.step([(cache, Array(Self.ids[..<count]))], editor: nil)
      expectIdentical(Array(try runtime.step([(cache, [7])], editor: nil)), before, "\(count)")
    }
    runtime.cachePages.releaseFree()
    var spoilt: KVCache? = try runtime.makeCache(capacity: 800)
    let sites = (0..<3).flatMap { block in
      [Component.keyOutput, .valueOutput].map { Site(block: block, component: $0) }
    }
    let vectors = Dictionary(
      uniqueKeysWithValues: sites.map {
        ($0, [Float](repeating: .nan, count: model.configuration.keyValueWidth))
      }
    )
    let editor = AffineEditor(vectors: vectors, weights: (0..<768).map { ($0, 1) })
    _ = try runtime.step([(try #require(spoilt), Array(Self.ids[..<768]))], editor: editor)
    spoilt = nil
    #expect(runtime.cachePages.freeCount == 3)
    for (count, before) in zip([1, 70, 300], expected) {
      expectIdentical(try logits(count), before, "\(count) tokens")
    }
  }

  @Test(
    "and pieces of a prompt change no bit, with windows and without, for every precision",
    arguments: Shape.allCases,
    [.int8, .int16, DecodePrecision(.int16, cache: .int8), .float32]
  )
  func pieces(shape: Shape, precision: DecodePrecision) throws {
    let model = try Self.model(shape)
    let runtime = ModelRuntime(model: model, precision: precision)
    let size = Int32(model.configuration.vocabularySize)
    let ids = Self.ids[..<700].map { $0 % size }
    func logits(cuts: [Int]) throws -> [Float] {
      let cache = try runtime.makeCache(capacity: 800)
      var start = 0
      for end in cuts + [700] {
        _ = try runtime.step([(cache, Array(ids[start..<end]))], editor: nil)
        start = end
      }
      return Array(try runtime.step([(cache, [7])], editor: nil))
        + Array(try runtime.step([(cache, [9])], editor: nil))
    }
    let whole = try logits(cuts: [])
    for cuts in [[576], [48, 96], [255, 257, 512], [2, 100, 331, 698], [256, 512]] {
      expectIdentical(try logits(cuts: cuts), whole, "cut at \(cuts)")
    }
  }

  @Test("behind a window go back, and the last 256 tokens can still be taken back")
  func windows() throws {
    let model = try Self.windowed()
    let runtime = ModelRuntime(model: model)
    let size = Int32(model.configuration.vocabularySize)
    let ids = Self.ids.map { $0 % size }
    let cache = try runtime.makeCache(capacity: 1000)
    _ = try runtime.step([(cache, Array(ids[..<300]))], editor: nil)
    #expect(cache.pageCount == 4)
    let expected = Array(try runtime.step([(cache, [7])], editor: nil))
    try cache.truncate(to: 300)
    _ = try runtime.step([(cache, Array(ids[300..<516]))], editor: nil)
    #expect(cache.pageCount == 6)
    _ = try runtime.step([(cache, Array(ids[516..<556]))], editor: nil)
    // Three pages of the block that sees all, and one fewer of those with a window.
    #expect(cache.pageCount == 5 && runtime.cachePages.heldCount == 5)
    try cache.truncate(to: 300)
    expectIdentical(Array(try runtime.step([(cache, [7])], editor: nil)), expected)

    let error = #expect(throws: ReFTError.self) { try cache.truncate(to: 200) }
    #expect(error?.code == .usage)
    #expect(error?.message.contains("cannot go back to 200") == true, "\(error?.message ?? "")")
    #expect(cache.count == 301)
    try cache.truncate(to: 0)
    #expect(cache.pageCount == 0)
    _ = try runtime.step([(cache, Array(ids[..<300]))], editor: nil)
    expectIdentical(Array(try runtime.step([(cache, [7])], editor: nil)), expected)
  }
}
