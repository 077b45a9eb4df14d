// SPDX-License-Identifier: Apache-2.0
// Final hidden states for heads that are not the model's own, and their way back.

import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Final hidden states")
struct HiddenStateTests {
  private static let sequences = [
    EngineFixture.tokens(14, seed: 1), EngineFixture.tokens(9, seed: 2),
    EngineFixture.tokens(1, seed: 3),
  ]

  private static func batch(_ sequences: [[Int32]]) -> PackedBatch {
    var batch = PackedBatch()
    for ids in sequences { batch.append(ids: ids) }
    return batch
  }

  private func states(
    _ runtime: ModelRuntime,
    _ batch: PackedBatch,
    at tokens: [Int32],
    editor: (any HiddenStateEditor)? = nil
  ) throws -> [Float] {
    var result: [Float] = []
    let count = tokens.count * runtime.model.configuration.hiddenSize
    try runtime.hiddenStates(of: batch, at: tokens, editor: editor) {
      result = Array(UnsafeBufferPointer(start: $0, count: count))
    }
    return result
  }

  @Test("have the same bits for all tokens, some tokens, and a sequence of its own")
  func bits() throws {
    let model = try EngineFixture.model(EngineFixture.odd)
    let (runtime, d) = (ModelRuntime(model: model), model.configuration.hiddenSize)
    let batch = Self.batch(Self.sequences)
    let all = try states(runtime, batch, at: Array(0..<24))
    #expect(all.count == 24 * d)
    let some: [Int32] = [0, 13, 14, 22, 23]
    let few = try states(runtime, batch, at: some)
    for (place, token) in some.enumerated() {
      let expected = Array(all[Int(token) * d..<Int(token + 1) * d])
      expectIdentical(Array(few[place * d..<(place + 1) * d]), expected, "token \(token)")
    }
    let own = try states(runtime, Self.batch([Self.sequences[1]]), at: Array(0..<9))
    expectIdentical(own, Array(all[14 * d..<23 * d]), "a sequence alone")
  }

  @Test("of sequences that begin alike are told apart")
  func samePrefix() throws {
    let model = try EngineFixture.model()
    let (runtime, d) = (ModelRuntime(model: model), model.configuration.hiddenSize)
    let prefix = EngineFixture.tokens(12, seed: 1)
    let batch = Self.batch([prefix + [5], prefix + [6]])
    let ends = try states(runtime, batch, at: [12, 25])
    let all = try states(runtime, batch, at: Array(0..<26))
    expectIdentical(Array(ends[..<d]), Array(all[12 * d..<13 * d]), "first")
    expectIdentical(Array(ends[d...]), Array(all[25 * d..<26 * d]), "second")
    expectIdentical(Array(all[..<d]), Array(all[13 * d..<14 * d]), "a token of the prefix")
  }

  @Test("have the slope of whatever is made of them", arguments: [true, false])
  func slopes(ofAllTokens: Bool) throws {
    let model = try EngineFixture.model(EngineFixture.threeBlocks)
    let (runtime, d) = (ModelRuntime(model: model), model.configuration.hiddenSize)
    let batch = Self.batch(Self.sequences)
    let tokens: [Int32] = ofAllTokens ? Array(0..<24) : [0, 14, 23]
    var random = SeededGenerator(seed: 9)
    let slopes = random.normals(tokens.count * d)
    let editor = AffineEditor(
      vectors: EngineFixture.vectors(
        [Site(block: 0, component: .mlpOutput), Site(block: 2, component: .blockInput)],
        of: model,
        scale: 0.1,
        seed: 3
      ),
      weights: EngineFixture.weights(batch, positions: [0, 3, 8])
    )
    func value() throws -> Double {
      let states = try states(runtime, batch, at: tokens, editor: editor)
      return zip(states, slopes).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
    try runtime.hiddenStatesAndGradient(of: batch, at: tokens, editor: editor) { _, gradient in
      gradient?.update(from: slopes, count: slopes.count)
    }
    let (vectors, gradient) = (editor.vectors, editor.gradients)
    for (site, direction) in gradient {
      let length = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
      #expect(length > 0.1)
      var ends: [Double] = []
      for step: Float in [-0.01, 0.01] {
        editor.vectors[site] = zip(vectors[site] ?? [], direction).map {
          $0 + step * $1 / length
        }
        ends.append(try value())
      }
      editor.vectors[site] = vectors[site]
      let difference = (ends[1] - ends[0]) / 0.02
      #expect(abs(difference - Double(length)) < 3e-3 * Double(length), "\(site)")
    }
  }

  @Test("asks nobody for a gradient that no edit takes")
  func withoutEdits() throws {
    let model = try EngineFixture.model()
    let editor = AffineEditor(vectors: [:], weights: [])
    let batch = Self.batch(Self.sequences)
    var isCalled = false
    try ModelRuntime(model: model).hiddenStatesAndGradient(of: batch, at: [3], editor: editor) {
      isCalled = $1 == nil
    }
    #expect(isCalled)
  }

  @Test("refuses tokens that are not there, or not in order", arguments: [[24], [-1], [3, 3]])
  func refuses(tokens: [Int32]) throws {
    let runtime = ModelRuntime(model: try EngineFixture.model())
    let error = #expect(throws: ReFTError.self) {
      try states(runtime, Self.batch(Self.sequences), at: tokens)
    }
    #expect(error?.code == .usage)
  }
}
