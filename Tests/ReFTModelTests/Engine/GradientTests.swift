// SPDX-License-Identifier: Apache-2.0
// The backward pass against differences of losses.

import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Gradients of a pass")
struct GradientTests {
  private static let sequences = [
    EngineFixture.tokens(14, seed: 1), EngineFixture.tokens(9, seed: 2),
  ]

  @Test(
    "an edit at any component of the first, middle and last block has the slope of the loss",
    arguments: 0..<3,
    EngineFixture.order
  )
  func single(block: Int, component: Component) throws {
    for shape in [EngineFixture.threeBlocks, EngineFixture.odd] {
      let model = try EngineFixture.model(shape)
      let batch = EngineFixture.batch(Self.sequences, labelled: 5)
      let site = Site(block: block, component: component)
      let editor = AffineEditor(
        vectors: EngineFixture.vectors([site], of: model, scale: 0.1, seed: 3),
        weights: EngineFixture.weights(batch, positions: [0, 3, 4, 7, 12])
      )
      editor.factor = 0.9
      try expectSlopes(ModelRuntime(model: model), batch, editor, "\(site)")
    }
  }

  @Test("edits at every site at once have the slope of the loss", arguments: [false, true])
  func everywhere(needsAllRows: Bool) throws {
    let model = try EngineFixture.model(EngineFixture.threeBlocks)
    let batch = EngineFixture.batch(Self.sequences, labelled: 5)
    let editor = AffineEditor(
      vectors: EngineFixture.vectors(
        EngineFixture.allSites(model),
        of: model,
        scale: 0.05,
        seed: 3
      ),
      weights: EngineFixture.weights(batch, positions: Array(0..<14))
    )
    editor.factor = 0.95
    editor.needsAllRows = needsAllRows
    try expectSlopes(ModelRuntime(model: model), batch, editor)
  }

  @Test(
    "long sequences, beyond every block of the attention, have the right loss and slope",
    arguments: [0, Int.max]
  )
  func long(sharedPrefixLimit: Int) throws {
    let (model, plain) = try withTemporaryDirectory { folder in
      let path = try TinyModel().write(in: folder)
      return (try FrozenModel(path: path), try DoubleModel(path: path))
    }
    let ids = EngineFixture.tokens(330, seed: 5)
    let batch = EngineFixture.batch(
      [ids, Array(ids.prefix(60)) + EngineFixture.tokens(215, seed: 6)],
      labelled: 265
    )
    let training = ModelRuntime(model: model)
    let editor = AffineEditor(
      vectors: EngineFixture.vectors(
        [.blockInput, .queryOutput, .keyOutput, .valueOutput, .blockOutput].map {
          Site(block: 0, component: $0)
        },
        of: model,
        scale: 0.1,
        seed: 3
      ),
      weights: EngineFixture.weights(batch, positions: [0, 47, 48, 100, 192, 255, 256, 300, 320])
    )
    editor.sharedPrefixLimit = sharedPrefixLimit
    let losses = try training.loss(batch, editor: nil)
    let logits = plain.run(ids).logits
    let expected = (265..<330).map { Float(DoubleModel.loss(logits[$0 - 1], label: ids[$0])) }
    expectClose(losses.prefix(65), expected, tolerance: 3e-5)
    try expectSlopes(training, batch, editor)
  }

  @Test("sharing a prefix changes no gradient, with sequences that have no label and one own token")
  func sharedPrefix() throws {
    let model = try EngineFixture.model(EngineFixture.threeBlocks)
    let prefix = EngineFixture.tokens(12, seed: 1)
    var batch = EngineFixture.batch(
      [5, 9, 3].map { prefix + EngineFixture.tokens($0, seed: UInt64($0)) },
      labelled: 13
    )
    batch.append(ids: prefix + [7], labels: [Int32](repeating: -100, count: 13))
    var found: [[Site: [Float]]] = []
    for limit in [0, Int.max] {
      let editor = AffineEditor(
        vectors: EngineFixture.vectors(
          EngineFixture.allSites(model),
          of: model,
          scale: 0.05,
          seed: 3
        ),
        weights: EngineFixture.weights(batch, positions: [0, 5, 11, 12, 14])
      )
      editor.sharedPrefixLimit = limit
      _ = try ModelRuntime(model: model).lossAndGradient(batch, editor: editor, scale: 1)
      found.append(editor.gradients)
    }
    for (site, expected) in found[0] {
      expectCloseNorm(found[1][site] ?? [], expected, relative: 1e-5, "\(site)")
    }
  }

  /// Compares the editor's gradient with central differences, along itself and along random
  /// directions; float32 losses leave an error of about 1e-3 of the gradient's norm.
  private func expectSlopes(
    _ training: ModelRuntime,
    _ batch: PackedBatch,
    _ editor: AffineEditor,
    _ note: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let scale: Float = 0.5
    let losses = try training.lossAndGradient(batch, editor: editor, scale: scale)
    let same = try training.loss(batch, editor: editor)
    expectIdentical(losses, same, "with and without gradient \(note)")
    let gradient = editor.gradients
    let norm = Self.norm(gradient)
    #expect(norm > 0.01, "nothing to test \(note)", sourceLocation: sourceLocation)
    let vectors = editor.vectors
    let epsilon: Float = 0.01
    func loss(_ step: Float, along direction: [Site: [Float]]) throws -> Double {
      for (site, vector) in vectors {
        editor.vectors[site] = zip(vector, direction[site] ?? []).map { $0 + step * $1 }
      }
      let losses = try training.loss(batch, editor: editor)
      return losses.reduce(0) { $0 + Double($1) } * Double(scale)
    }
    var random = SeededGenerator(seed: 11)
    let others = (0..<3).map { _ in vectors.mapValues { random.normals($0.count) } }
    for direction in [gradient] + others {
      let length = Float(Self.norm(direction))
      let unit = direction.mapValues { $0.map { $0 / length } }
      let slope =
        (try loss(epsilon, along: unit) - loss(-epsilon, along: unit))
        / (2 * Double(epsilon))
      let expected = gradient.reduce(0.0) { sum, entry in
        zip(entry.value, unit[entry.key] ?? []).reduce(sum) { $0 + Double($1.0 * $1.1) }
      }
      #expect(
        abs(slope - expected) <= 3e-3 * norm,
        "slope \(slope), expected \(expected), norm \(norm) \(note)",
        sourceLocation: sourceLocation
      )
    }
    editor.vectors = vectors
  }

  private static func norm(_ vectors: [Site: [Float]]) -> Double {
    vectors.values.joined().reduce(0) { $0 + Double($1 * $1) }.squareRoot()
  }
}
