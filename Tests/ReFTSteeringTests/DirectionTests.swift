// SPDX-License-Identifier: Apache-2.0
// Directions against PyTorch's hidden states with NumPy's arithmetic: Tests/Fixtures/steering.

import Foundation
import ReFTHost
import ReFTModel
import ReFTSteering
import ReFTTensor
import Testing
import _ReFTTestSupport

/// The reference numbers.
private struct Golden: Decodable {
  struct Case: Decodable, Sendable {
    struct Numbers: Decodable {
      var gap: Double
      var norm: Double
      var explained_variance: Double
      var auroc: Double
      var accuracy: Double
    }
    var name: String
    var position: String
    var component: String
    var layer: Int
    var paired: Bool
    var median_norm: Double
    var methods: [String: Numbers]
  }
  struct Step: Decodable {
    struct Effect: Decodable {
      var surprise: Double
      var divergence: Double
    }
    var strength: Double
    var effects: [Effect]
  }

  var positives: [[Int32]]
  var negatives: [[Int32]]
  var training: Int
  var unpaired: Int
  var cases: [Case]
  var step: Step

  static func read() throws -> Golden {
    try JSONDecoder().decode(Golden.self, from: Fixture.data("steering/steering.json"))
  }

  static func directions() throws -> SafetensorsFile {
    try Safetensors.read(path: Fixture.path("steering/steering.safetensors"))
  }

  func activations(_ golden: Case, _ model: LoadedModel, budget: Int) throws -> SiteActivations {
    func encoded(_ texts: ArraySlice<[Int32]>) -> [EncodedContrast] {
      texts.map { EncodedContrast(ids: $0, promptLength: $0.count, place: "golden") }
    }
    let reader = ActivationReader(
      model: model,
      position: try ReadPosition(golden.position),
      microBatchTokens: budget
    )
    let component = try #require(Component(rawValue: golden.component))
    let count = golden.paired ? training : unpaired
    return try reader.read(
      component,
      layers: [golden.layer],
      training: (encoded(positives[..<training]), encoded(negatives[..<count])),
      heldOut: (encoded(positives[training...]), encoded(negatives[training...]))
    )[0]
  }
}

@Suite("Directions")
struct DirectionTests {
  private static func model() throws -> LoadedModel {
    try LoadedModel(path: Fixture.path("tiny/llama"))
  }

  @Test("are those of the reference, by every method, with its numbers")
  func agree() throws {
    let (golden, model) = (try Golden.read(), try Self.model())
    let directions = try Golden.directions()
    for site in golden.cases {
      let activations = try golden.activations(site, model, budget: 256)
      expectClose(activations.medianNorm, Float(site.median_norm), tolerance: 0, relative: 1e-5)
      for method in DirectionMethod.allCases {
        let name = "\(site.name)/\(method.rawValue)"
        let vector = try SteeringVector(activations, method: method, isPaired: site.paired)
        let expected = try #require(site.methods[method.rawValue])
        expectClose(vector.direction, try directions.floats(name), tolerance: 1e-5, name)
        #expect(abs(vector.gap - expected.gap) <= 1e-5 * expected.norm, "\(name)")
        #expect(abs(vector.norm - expected.norm) <= 1e-5 * expected.norm, "\(name)")
        #expect(abs(vector.explainedVariance - expected.explained_variance) <= 1e-5, "\(name)")
        #expect(abs(vector.separation.auroc - expected.auroc) < 1e-12, "\(name)")
        #expect(abs(vector.separation.accuracy - expected.accuracy) < 1e-12, "\(name)")
      }
    }
  }

  @Test("do not depend on how texts are batched")
  func batches() throws {
    let (golden, model) = (try Golden.read(), try Self.model())
    let one = try golden.activations(golden.cases[1], model, budget: 1)
    let many = try golden.activations(golden.cases[1], model, budget: 4096)
    #expect(one.positives == many.positives && one.heldOutNegatives == many.heldOutNegatives)
  }

  @Test("turn around where the classes do")
  func sign() throws {
    let (golden, model) = (try Golden.read(), try Self.model())
    let site = golden.cases[0]
    let activations = try golden.activations(site, model, budget: 1024)
    let turned = SiteActivations(
      site: activations.site,
      positives: activations.negatives,
      negatives: activations.positives,
      medianNorm: activations.medianNorm
    )
    for method in DirectionMethod.allCases {
      let vector = try SteeringVector(activations, method: method, isPaired: true)
      let other = try SteeringVector(turned, method: method, isPaired: true)
      expectClose(other.direction, vector.direction.map { -$0 }, tolerance: 1e-6, method.rawValue)
      #expect(vector.gap > 0 && other.gap > 0)
    }
  }

  @Test("that lead nowhere are an error with a remedy")
  func noDifference() throws {
    var rows = RowMatrix(columns: 2)
    rows.append([1.0, 2.0])
    let activations = SiteActivations(
      site: Site(block: 3, component: .blockOutput),
      positives: rows,
      negatives: rows,
      medianNorm: 1
    )
    #expect {
      try SteeringVector(activations, method: .meanDifference, isPaired: true)
    } throws: { error in
      "\(error)".contains("block_output of block 3") && "\(error)".contains("--position")
    }
  }

  @Test("change the next tokens as the reference says: surprise and KL divergence")
  func sideEffects() throws {
    let (golden, model) = (try Golden.read(), try Self.model())
    let direction = try Golden.directions().floats("\(golden.cases[0].name)/mean-difference")
    let length = Float(golden.step.strength * golden.cases[0].median_norm)
    let runtime = ModelRuntime(model: model.frozen)
    for (ids, expected) in zip(golden.positives, golden.step.effects) {
      var batch = PackedBatch()
      batch.append(ids: ids)
      let outputs = ids.indices.dropLast().map { Int32($0) }
      func states(_ editor: (any HiddenStateEditor)?) throws -> FloatBuffer {
        let copy = FloatBuffer(count: outputs.count * model.configuration.hiddenSize)
        try runtime.hiddenStates(of: batch, at: outputs, editor: editor) {
          copy.base.update(from: $0, count: copy.count)
        }
        return copy
      }
      let frozen = try states(nil)
      let steered = try states(Step(direction.map { $0 * length }, tokens: Array(ids.indices)))
      let found = try model.frozen.divergences(
        of: [UnsafePointer(steered.base), UnsafePointer(frozen.base)],
        from: frozen.base,
        labels: Array(ids.dropFirst())
      )
      #expect(abs(found[0].surprise - expected.surprise) < 1e-4 * expected.surprise)
      #expect(abs(found[0].divergence - expected.divergence) < 1e-4)
      #expect(found[1].divergence < 1e-5)
    }
  }

  /// h + v at every token of block 1.
  private final class Step: HiddenStateEditor {
    let sites: Set<Site> = [Site(block: 1, component: .blockOutput)]
    let needsAllRows = false
    let sharedPrefixLimit = Int.max
    private let edit: RowsEdit

    init(_ vector: [Float], tokens: [Int]) {
      edit = RowsEdit(tokens) { rows in
        for index in 0..<rows.count * rows.width { rows.rows[index] += vector[index % rows.width] }
      } backward: { _ in
      }
    }

    func edits(at site: Site) -> [any RowEdit] { [edit] }
  }
}
