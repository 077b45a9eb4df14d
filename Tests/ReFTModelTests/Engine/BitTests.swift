// SPDX-License-Identifier: Apache-2.0
// What must not change a single bit: threads, the other sequences of a batch, a second run.

import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Equal bits")
struct BitTests {
  /// Lengths on both sides of the sizes that the engine works in.
  private static let lengths = [70, 13, 49, 21, 97]
  private static let prefix = EngineFixture.tokens(11, seed: 1)
  private static let shared = lengths.map { count in
    prefix + EngineFixture.tokens(count - 11, seed: UInt64(count))
  }
  private static let different = lengths.map { EngineFixture.tokens($0, seed: UInt64($0)) }

  private struct Outcome {
    var losses: [Float]
    var gradients: [Site: [Float]]
  }

  /// Runs with edits at every site of block 1, at positions inside and behind the prefix.
  private func run(
    _ model: FrozenModel,
    _ sequences: [[Int32]],
    pool: ThreadPool = .shared,
    sharedPrefixLimit: Int = .max
  ) throws -> Outcome {
    let batch = EngineFixture.batch(sequences, labelled: 12)
    let sites = EngineFixture.order.map { Site(block: 1, component: $0) }
    let editor = AffineEditor(
      vectors: EngineFixture.vectors(sites, of: model, scale: 0.1, seed: 3),
      weights: EngineFixture.weights(batch, positions: [0, 4, 10, 12, 30])
    )
    editor.sharedPrefixLimit = sharedPrefixLimit
    let training = ModelRuntime(model: model, pool: pool)
    let losses = try training.lossAndGradient(batch, editor: editor, scale: 0.1)
    return Outcome(losses: losses, gradients: editor.gradients)
  }

  private func expectIdentical(_ a: Outcome, _ b: Outcome, _ note: String) {
    _ReFTTestSupport.expectIdentical(a.losses, b.losses, note)
    for (site, gradient) in a.gradients {
      _ReFTTestSupport.expectIdentical(gradient, b.gradients[site] ?? [], "\(site) \(note)")
    }
  }

  @Test(
    "losses and gradients have the same bits for 1, 2 and 4 threads and in a second run",
    arguments: [EngineFixture.threeBlocks, EngineFixture.odd]
  )
  func threads(shape: TinyModel) throws {
    let model = try EngineFixture.model(shape)
    for sequences in [Self.shared, Self.different] {
      let expected = try run(model, sequences, pool: EngineFixture.pools[0])
      for pool in EngineFixture.pools {
        let found = try run(model, sequences, pool: pool)
        expectIdentical(found, expected, "with \(pool.threadCount) threads")
      }
    }
  }

  @Test(
    "a label's loss has the same bits alone, among others, and behind a shared prefix",
    arguments: [EngineFixture.threeBlocks, EngineFixture.odd]
  )
  func company(shape: TinyModel) throws {
    let model = try EngineFixture.model(shape)
    for sequences in [Self.shared, Self.different] {
      let alone = try sequences.flatMap { try run(model, [$0]).losses }
      for limit in [0, Int.max] {
        let together = try run(model, sequences, sharedPrefixLimit: limit).losses
        _ReFTTestSupport.expectIdentical(together, alone, "sharing up to \(limit) tokens")
      }
      let reversed = try run(model, sequences.reversed()).losses
      #expect(reversed.map(\.bitPattern).sorted() == alone.map(\.bitPattern).sorted())
      let batch = EngineFixture.batch(sequences, labelled: 12)
      let unedited = try ModelRuntime(model: model).loss(batch, editor: nil)
      let uneditedAlone = try sequences.flatMap {
        let batch = EngineFixture.batch([$0], labelled: 12)
        return try ModelRuntime(model: model).loss(batch, editor: nil)
      }
      _ReFTTestSupport.expectIdentical(unedited, uneditedAlone, "unedited")
    }
  }

  @Test("a pass that has run other batches before gives the same bits as a new one")
  func reuse() throws {
    let model = try EngineFixture.model(EngineFixture.threeBlocks)
    let training = ModelRuntime(model: model)
    let long = EngineFixture.batch(Self.different, labelled: 12)
    let short = EngineFixture.batch([Self.different[1]], labelled: 12)
    let expected = try ModelRuntime(model: model).loss(short, editor: nil)
    _ = try training.loss(long, editor: nil)
    _ReFTTestSupport.expectIdentical(try training.loss(short, editor: nil), expected, "later")
  }

  private static let quantised: [TinyModel] = [.q4_1, .q8_0, .q5_1, .q6_K].map {
    TinyModel(weightType: $0)
  }

  @Test(
    "logits have the same bits alone, among others, and for 1, 2 and 4 threads",
    arguments: [EngineFixture.threeBlocks, EngineFixture.odd] + quantised
  )
  func logits(shape: TinyModel) throws {
    let model = try EngineFixture.model(shape)
    let alone = try Self.different.map { try generate(model, [$0], EngineFixture.pools[0])[0] }
    for pool in EngineFixture.pools {
      let together = try generate(model, Self.different, pool)
      for (index, logits) in together.enumerated() {
        _ReFTTestSupport.expectIdentical(
          logits,
          alone[index],
          "sequence \(index), \(pool.threadCount) threads"
        )
      }
    }
  }

  /// The logits of each sequence after its prompt and after four more tokens, one by one.
  private func generate(
    _ model: FrozenModel,
    _ sequences: [[Int32]],
    _ pool: ThreadPool
  ) throws -> [[Float]] {
    let inference = ModelRuntime(model: model, pool: pool)
    let caches = try sequences.map { try inference.makeCache(capacity: $0.count + 4) }
    var found = [[Float]](repeating: [], count: sequences.count)
    for step in 0...4 {
      let input = zip(caches, sequences).map { cache, ids in
        (cache: cache, tokens: step == 0 ? ids : [Int32(step * 31) + ids[0] % 7])
      }
      let logits = try inference.step(input, editor: nil)
      let width = logits.count / sequences.count
      for index in sequences.indices { found[index] += logits[index * width..<(index + 1) * width] }
    }
    return found
  }

  @Test(
    "a decoded token's logits have the same bits beside a prompt that is being read",
    arguments: [EngineFixture.threeBlocks] + quantised
  )
  func mixedStep(shape: TinyModel) throws {
    let model = try EngineFixture.model(shape)
    let inference = ModelRuntime(model: model)
    var found: [[Float]] = []
    for hasCompany in [false, true] {
      let cache = try inference.makeCache(capacity: 80)
      _ = try inference.step([(cache, Self.different[0])], editor: nil)
      var input = [(cache: cache, tokens: [Int32(5)])]
      if hasCompany {
        input.append((try inference.makeCache(capacity: 80), Self.different[2]))
      }
      let logits = try inference.step(input, editor: nil)
      found.append(Array(logits.prefix(model.configuration.vocabularySize)))
    }
    _ReFTTestSupport.expectIdentical(found[1], found[0], "beside a prompt")
  }
}
